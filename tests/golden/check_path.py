"""Walks the hit path of malloc and free in the disassembly of the shared library.

The hit path is what runs from the entry when no conditional jump is taken: the code is laid out
so that every check jumps away to a slow function. It must reach a return without a call, within
the number of instructions that limits.json gives.

usage: check_path.py <library> <limits.json> <compiler>
"""
import json
import pathlib
import re
import subprocess
import sys

LINE = re.compile(r'^\s*([0-9a-f]+):\t(?:(?:rex\.?\w*|notrack|bnd|repz|lock|data16|cs)\s+)*'
                  r'(\S+)\s*(.*)$')
PADDING = {'endbr64', 'nop', 'nopw', 'nopl'}


def disassembly(library, function):
    """[(address, mnemonic, operands)] of one exported function, whatever its other names are."""
    symbols = subprocess.run(['nm', '-D', '-S', '--defined-only', library], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    start, size = re.search(rf'^([0-9a-f]+) ([0-9a-f]+) . {function}(?:@.*)?$', symbols,
                            re.M).groups()
    text = subprocess.run(
        ['objdump', '-d', '--no-show-raw-insn', f'--start-address=0x{start}',
         f'--stop-address={int(start, 16) + int(size, 16)}', library],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    return [(int(match.group(1), 16), match.group(2), match.group(3))
            for match in map(LINE.match, text.splitlines()) if match]


def hit_path(instructions):
    """The instructions up to the return, and a fault or None."""
    index_of = {address: index for index, (address, _, _) in enumerate(instructions)}
    path, index = [], 0
    while index < len(instructions) and len(path) < 1000:
        address, mnemonic, operands = instructions[index]
        if mnemonic not in PADDING:
            path.append(f'{address:x}: {mnemonic} {operands}')
        if mnemonic.startswith('ret'):
            return path, None
        if mnemonic.startswith('call'):
            return path, 'a call on the hit path'
        index += 1
        if mnemonic.startswith('jmp'):
            target = re.match(r'([0-9a-f]+)\b', operands)
            if not target or int(target.group(1), 16) not in index_of:
                return path, 'the hit path leaves the function'
            index = index_of[int(target.group(1), 16)]
    return path, 'the hit path has no return'


def main():
    library, limits, compiler = sys.argv[1:]
    failed = False
    for function, limit in json.loads(pathlib.Path(limits).read_text())[compiler]['path'].items():
        path, fault = hit_path(disassembly(library, function))
        if not fault and len(path) > limit:
            fault = 'the hit path is too long'
        print(f'{function} by {compiler}: {len(path)} instructions, at most {limit}')
        if fault:
            failed = True
            print(f'{fault}:', *path, sep='\n  ')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
