"""Runs out of memory again and again; afterwards all of it is there again."""
import sys


def exhaust(size):
    blocks = []
    try:
        while True:
            blocks.append(bytes(size))
    except MemoryError:
        return len(blocks) * size
    finally:
        blocks.clear()


MIB = 1 << 20
for round_number in range(2):
    for size in (400, 3000, 70000, MIB, 20 * MIB):
        got = exhaust(size)
        print(round_number, size, "enough" if got > 40 * MIB else f"only {got}")
    try:
        bytearray(1 << 40)
    except MemoryError:
        print("refused")
print(len(bytearray(60 * MIB)))
sys.stdout.flush()
