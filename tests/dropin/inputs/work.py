"""Threads, processes, ctypes, text and numbers; prints results that do not change."""
import ctypes
import gc
import hashlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
import threading
import zlib


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def churn(seed):
    """Builds and drops many objects of many sizes."""
    value = seed
    kept = {}
    for i in range(20000):
        value = (value * 1103515245 + 12345) & 0x7FFFFFFF
        kept[value % 997] = "x" * (value % 700)
        if i % 5 == 0:
            kept.pop(value % 499, None)
    return sum(len(text) for text in kept.values())


def run_threads():
    results = [0] * 8

    def work(index):
        results[index] = churn(index)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("threads", results)


def run_processes():
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        print("fork pool", pool.map(churn, range(8)))
    for _ in range(30):
        child = os.fork()
        if child == 0:
            churn(3)
            os._exit(5)
        assert os.waitpid(child, 0)[1] == 5 << 8
    print("forks done")


def fork_among_threads():
    stop = threading.Event()

    def work():
        while not stop.is_set():
            churn(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    codes = [subprocess.run(["/bin/sh", "-c", f"exit {i}"], check=False).returncode
             for i in range(10)]
    stop.set()
    for thread in threads:
        thread.join()
    print("subprocesses", codes)


def run_ctypes():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.strdup.restype = ctypes.c_void_p
    block = libc.malloc(100000)
    ctypes.memset(block, 65, 99999)
    copy = libc.strdup(b"some text")
    print("ctypes", ctypes.string_at(block, 5), ctypes.string_at(copy))
    libc.free(block)
    libc.free(copy)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int),
                               ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 1000)(*[(i * 7919) % 1009 for i in range(1000)])
    libc.qsort(numbers, 1000, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    print("qsort", numbers[0], numbers[500], numbers[999])


def run_text():
    data = [{"id": i, "name": f"name {i}", "tags": [str(i), str(i * i)]} for i in range(20000)]
    text = json.dumps(data)
    print("json", len(text), digest(text), json.loads(text) == data)
    print("re", digest(re.sub(r"(\d)(\d)", r"\2\1", text)), len(re.findall(r"\b\d+7\b", text)))
    packed = zlib.compress(text.encode(), 6)
    print("zlib", len(packed), digest(zlib.decompress(packed).decode()))
    print("numbers", digest(hex(3 ** 20000)), (7 ** 50000) % 1000003)
    print("sorted", digest(",".join(sorted(str(i * 31 % 10007) for i in range(30000)))))


def run_buffers():
    buffer = bytearray()
    for i in range(3000):
        buffer += bytes([i % 251]) * 5000
    print("bytearray", len(buffer), hashlib.md5(buffer).hexdigest())
    del buffer[1000:]
    big = [bytearray(1 << 20) for _ in range(64)]
    print("zero", all(not any(block[::4096]) for block in big))


class Node:
    def __init__(self, other):
        self.other = other


def run_garbage():
    for _ in range(20000):
        first = Node(None)
        first.other = Node(first)
    gc.collect()
    print("garbage", gc.collect() >= 0)


if __name__ == "__main__":
    run_threads()
    run_processes()
    fork_among_threads()
    run_ctypes()
    run_text()
    run_buffers()
    run_garbage()
    sys.stdout.flush()
