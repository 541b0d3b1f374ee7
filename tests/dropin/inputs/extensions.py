"""Imports all extension modules of the standard library, also in subinterpreters."""
import importlib
import pathlib
import sys
import sysconfig

names = sorted(path.name.split(".")[0] for path in
               pathlib.Path(sysconfig.get_path("platstdlib"), "lib-dynload").glob("*.so"))
loaded = []
for name in names:
    if name.startswith(("_test", "xx")):
        continue
    try:
        importlib.import_module(name)
        loaded.append(name)
    except ImportError:
        pass
print(len(names), loaded)

try:
    import _xxsubinterpreters as interpreters
except ImportError:
    sys.exit(0)
for i in range(10):
    one = interpreters.create()
    interpreters.run_string(one, f"import json; print(len(json.dumps(list(range({i} * 1000)))))")
    if i % 2 == 0:
        interpreters.destroy(one)
