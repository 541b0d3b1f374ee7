"""Pools of every start method, managers, shared memory and executors; prints what is fixed."""
import concurrent.futures
import multiprocessing
import os
import threading
from multiprocessing import shared_memory


def churn(seed):
    kept = {}
    value = seed
    for _ in range(5000):
        value = (value * 1103515245 + 12345) & 0x7FFFFFFF
        kept[value % 499] = bytes(value % 3000)
    return sum(map(len, kept.values()))


def churn_in_threads(seed):
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        return sum(executor.map(churn, range(seed, seed + 4)))


def use_shared(name, index):
    memory = shared_memory.SharedMemory(name=name)
    memory.buf[index] = index + 1
    memory.close()


def run_pools():
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(3, maxtasksperchild=4) as pool:
            print(method, pool.map(churn, range(9), chunksize=2))
            print(method, pool.map(churn_in_threads, range(3)))


def run_manager():
    with multiprocessing.Manager() as manager:
        table = manager.dict()
        workers = [multiprocessing.Process(target=table.__setitem__, args=(i, "v" * i))
                   for i in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        print("manager", sorted(table.items()), [worker.exitcode for worker in workers])


def run_shared_memory():
    memory = shared_memory.SharedMemory(create=True, size=100)
    workers = [multiprocessing.Process(target=use_shared, args=(memory.name, i)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("shared", bytes(memory.buf[:5]))
    memory.close()
    memory.unlink()


def run_executor():
    with concurrent.futures.ProcessPoolExecutor(3) as executor:
        print("executor", list(executor.map(churn, range(8))))


def fork_line(depth):
    """Each generation allocates in threads and forks the next."""
    if depth == 0:
        return 0
    threads = [threading.Thread(target=churn, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    child = os.fork()
    if child == 0:
        os._exit(fork_line(depth - 1) + 1)
    for thread in threads:
        thread.join()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    run_pools()
    run_manager()
    run_shared_memory()
    run_executor()
    print("line", fork_line(8))
