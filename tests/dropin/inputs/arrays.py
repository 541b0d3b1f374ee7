"""Array arithmetic with the threads of the linear algebra library; prints what is fixed."""
import threading

import numpy as np


def work(index, results):
    generator = np.random.default_rng(index)
    matrix = generator.random((200, 200))
    total = 0.0
    for size in (10, 1000, 100000, 1000000):
        total += float(np.sort(generator.random(size)).cumsum()[-1] > size * 0.3)
    inverse = np.linalg.inv(matrix)
    total += round(float(np.abs(inverse @ matrix - np.eye(200)).max()), 3)
    total += float(np.fft.ifft(np.fft.fft(matrix)).real.round(6).sum().round(3))
    results[index] = total


results = [0.0] * 8
threads = [threading.Thread(target=work, args=(i, results)) for i in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(results)
grown = np.zeros(0)
for i in range(200):
    grown = np.append(grown, np.full(i * 50, i))
print(grown.size, grown.sum())
grown.resize(3000000, refcheck=False)
print(grown.size, grown[2999999])
texts = np.array([f"text {i}" for i in range(50000)])
print(np.unique(np.char.upper(texts)).size, np.char.count(texts, "7").sum())
objects = np.array([{"i": i} for i in range(10000)], dtype=object)
print(sum(one["i"] for one in objects[::3]))
a = np.arange(4000000, dtype=np.int64).reshape(2000, 2000)
print((a.T @ np.ones(2000)).sum(), a[::7, ::3].copy().sum(), np.einsum("ij->j", a).max())
