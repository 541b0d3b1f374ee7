"""Builds small bad trees under a scratch folder; every one must give the fault it was made for.

usage: self_test.py <scratch folder> <rules.json>
"""
import json
import pathlib
import shutil
import sys

import check_layers


def header(name, body):
    guard = 'SPANMALLOC_' + name.replace('/', '_').replace('.', '_').upper() + '_'
    return f'#ifndef {guard}\n#define {guard}\n{body}\n#endif  // {guard}\n'


LONG_BODY = 'int value = 0;\n' * 60
CASES = {
    'upward': ({'base/a.cc': '#include "pages/b.h"\n'}, 'layer base must not include "pages/b.h"'),
    'short include': ({'base/a.cc': '#include "b.h"\n'}, 'must be written'),
    'unknown layer': ({'extra/a.cc': '\n'}, 'is no layer'),
    'cycle': ({'base/a.h': header('base/a.h', '#include "base/b.h"'),
               'base/b.h': header('base/b.h', '#include "base/a.h"')},
              'include cycle: base/a.h > base/b.h > base/a.h'),
    'long file': ({'base/a.cc': '\n' * 501}, '501 lines'),
    'long function': ({'base/a.cc': 'namespace n {\nint f(int a,\n      int b) {\n' + LONG_BODY +
                       '}\n}\n'}, 'base/a.cc:2: function of 63 lines'),
    'long method': ({'base/a.cc': 'class C {\n  C() : a_(1) {\n' + LONG_BODY + '  }\n};\n'},
                    'base/a.cc:2: function of 62 lines'),
    'system macro': ({'base/a.cc': '#ifdef __linux__\n#endif\n'}, 'system macro __linux__'),
    'condition': ({'base/a.cc': '#if FEATURE\n#endif\n'}, 'conditional compilation: #if FEATURE'),
    'guard': ({'base/a.h': header('base/b.h', '')}, 'no include guard SPANMALLOC_BASE_A_H_'),
    'empty': ({}, 'no sources found'),
}
GOOD = {
    'platform/a.h': header('platform/a.h', '#ifdef __linux__\n#endif'),
    'base/b.h': header('base/b.h', '#include "platform/a.h"'),
    'base/a.cc': '#include "base/b.h"\n// __linux__ in words is no macro\n'
                 'constexpr int kTable[] = {\n' + '1,\n' * 70 + '};\n'
                 'struct S {\n' + 'int field;\n' * 70 + '};\n',
}


def faults_of(folder, files, rules):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return list(check_layers.faults(folder, rules))


def main():
    folder, rules = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
    failures = [f'a good tree: {fault}' for fault in faults_of(folder, GOOD, rules)]
    for case, (files, expected) in CASES.items():
        found = faults_of(folder, files, rules)
        if not any(expected in fault for fault in found):
            failures.append(f'{case}: expected "{expected}", found {found}')
    print('\n'.join(failures) or f'all {len(CASES) + 1} trees judged rightly')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
