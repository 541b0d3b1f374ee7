"""The dynamic loader: many libraries, thread-local storage, auditing, early and late binding."""
from cases.case import Case, PYTHON

CASES = {}

CASES["dlopen_many"] = Case(["g++"], r"""
g++ -O1 -shared -fPIC $INPUTS/library.cc -o library.so
g++ -O1 $INPUTS/many_libraries.cc -o many -pthread
for i in $(seq 0 399); do cp library.so library$i.so; done
./many 400
""", timeout=90)

CASES["static_tls_filled"] = Case(["g++"], r"""
g++ -O1 -shared -fPIC $INPUTS/tls_filler.cc -o tls.so
g++ -O1 $INPUTS/static_tls.cc -o static_tls -pthread
for i in $(seq 0 199); do cp tls.so tls$i.so; done
./static_tls
GLIBC_TUNABLES=glibc.rtld.optional_static_tls=100 ./static_tls
""")

CASES["loader_auditing"] = Case(["gcc", PYTHON], rf"""
gcc -O1 -shared -fPIC $INPUTS/audit.c -o audit.so
LD_AUDIT=$PWD/audit.so {PYTHON} -c 'import json, ssl, sqlite3; print(len(json.dumps("x" * 9999)))'
LD_AUDIT=$PWD/audit.so bash -c 'for i in 1 2 3; do echo $(echo $i); done'
""")

CASES["loader_binding"] = Case([PYTHON, "perl"], rf"""
LD_BIND_NOW=1 {PYTHON} -c 'import ssl, sqlite3, ctypes; print(len("x" * 9999))'
LD_BIND_NOT=1 perl -e 'print join(",", map {{ $_ * 3 }} 1 .. 20), "\n"'
LD_PRELOAD="${{LD_PRELOAD:-}}:libm.so.6:libpthread.so.0" perl -MPOSIX -e 'print floor(3.7), "\n"'
/lib64/ld-linux-x86-64.so.2 /usr/bin/perl -e 'print "a" x 30, "\n"'
GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.rtld.dynamic_sort=1 bash -c 'echo $(echo fine)'
""")

# Calls before the first thread's thread-local data has its values, and before our constructor,
# wherever in the row of libraries they come from.
CASES["loader_early"] = Case(["gcc"], r"""
gcc -O1 -shared -fPIC $INPUTS/early_library.c -o libearly.so
flags="-O1 -fPIE -pie $INPUTS/early_program.c -L. -learly -Wl,-rpath,$PWD -pthread"
gcc $flags -Wl,-z,lazy -o lazily
gcc $flags -Wl,-z,now -o at_once
for program in ./lazily ./at_once; do
  $program
  LD_PRELOAD="$PWD/libearly.so:${LD_PRELOAD:-}" $program
  LD_PRELOAD="${LD_PRELOAD:-}:$PWD/libearly.so" $program
  SPANMALLOC_OPTIONS=hardening=2:sample_guard=10 $program
done
""")

CASES["loader_deepbind"] = Case(["gcc"], r"""
gcc -O1 -fno-builtin -shared -fPIC $INPUTS/deep_library.c -o libdeep.so
gcc -O1 -fno-builtin $INPUTS/deep_program.c -o deep -pthread
./deep
""")

# Every extension module of the standard library in one process, twice over.
CASES["python3_extensions"] = Case([PYTHON], f"{PYTHON} $INPUTS/extensions.py")
