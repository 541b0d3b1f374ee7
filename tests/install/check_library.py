"""Checks the ELF file of the shared library: what it needs, how it is linked, what it exports.

usage: check_library.py <libspanmalloc.so> <version script> <public header>
"""
import fnmatch
import itertools
import pathlib
import re
import subprocess
import sys

ALLOWED_NEEDED = re.compile(r'libc\.so\.6|ld-linux.*\.so\.\d')

# dlopen() takes static TLS from a surplus of some hundred bytes that libraries share.
STATIC_TLS_BYTES = 64


def tool(*command):
    """Standard output of a command that must succeed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def operators():
    """The mangled names of every replaceable new and delete of C++20 where size_t is long."""
    for array, tail in itertools.product('wa', ['m', 'mRKSt9nothrow_t', 'mSt11align_val_t',
                                                'mSt11align_val_tRKSt9nothrow_t']):
        yield f'_Zn{array}{tail}'
    for array, tail in itertools.product('la', ['Pv', 'Pvm', 'PvRKSt9nothrow_t',
                                                'PvSt11align_val_t', 'PvmSt11align_val_t',
                                                'PvSt11align_val_tRKSt9nothrow_t']):
        yield f'_Zd{array}{tail}'


def dynamic_faults(library):
    """What the dynamic section and the program headers should say and do not."""
    dynamic = tool('readelf', '-dW', library)
    for needed in re.findall(r'\(NEEDED\).*\[(.*)\]', dynamic):
        if not ALLOWED_NEEDED.fullmatch(needed):
            yield f'needs {needed}; only libc is allowed'
    for wanted in (r'\(SONAME\).*\[libspanmalloc\.so\.0\]', r'\(FLAGS\).*\bBIND_NOW\b',
                   r'\(FLAGS\).*\bSTATIC_TLS\b', r'\(FLAGS_1\).*\bNOW\b',
                   r'\(FLAGS_1\).*\bNODELETE\b'):
        if not re.search(wanted, dynamic):
            yield f'dynamic section lacks {wanted}'
    if 'TEXTREL' in dynamic:
        yield 'has text relocations'
    headers = tool('readelf', '-lW', library)
    static_tls = re.search(r'^ *TLS( +0x[0-9a-f]+){4} +(0x[0-9a-f]+)', headers, re.MULTILINE)
    if static_tls is None or int(static_tls[2], 16) > STATIC_TLS_BYTES:
        yield f'wants more than {STATIC_TLS_BYTES} bytes of static TLS, or none is found'
    if 'GNU_RELRO' not in headers:
        yield 'has no read-only relocation segment'
    if re.search(r'GNU_STACK.*\bRWE\b', headers):
        yield 'wants an executable stack'
    # Unwinders that find no entry in the index read on up to the terminator.
    frames = tool('readelf', '--debug-dump=frames', library).rstrip()
    if not frames.endswith('ZERO terminator') or frames.count('ZERO terminator') != 1:
        yield 'has tables for unwinding without an end, or with two'


def export_faults(library, script, header):
    """Symbols exported and not meant to be, and the reverse."""
    exported = {line.split()[-1].split('@')[0]
                for line in tool('nm', '-D', '--defined-only', library).splitlines()}
    listed = re.search(r'global:(.*)local:', script, re.S).group(1).split(';')
    patterns = [name.strip() for name in listed if name.strip()]
    declared = set(re.findall(r'\b(spanmalloc_\w+)\s*\(', header))
    wanted = {name for name in patterns if '*' not in name} | set(operators()) | declared
    for name in sorted(wanted - exported):
        yield f'does not export {name}'
    for name in sorted(exported - wanted):
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            yield f'exports {name}, which is neither an operator of C++20 nor in the header'
        else:
            yield f'exports {name}'


def main():
    library, script, header = sys.argv[1:]
    faults = list(dynamic_faults(library))
    faults += export_faults(library, pathlib.Path(script).read_text(),
                            pathlib.Path(header).read_text())
    for fault in faults:
        print(f'{library} {fault}')
    print(f'{len(faults)} faults')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
