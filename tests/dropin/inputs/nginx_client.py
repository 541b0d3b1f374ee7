"""Loads pages over a Unix socket while the server is told to reload; prints what is fixed."""
import gzip
import hashlib
import os
import signal
import socket
import sys
import threading
import time

PATH, SERVER = sys.argv[1], int(sys.argv[2])


def load(page, encoding="identity"):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(PATH)
        connection.sendall(f"GET {page} HTTP/1.0\r\nHost: localhost\r\n"
                           f"Accept-Encoding: {encoding}\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return gzip.decompress(body) if b"Content-Encoding: gzip" in head else body


def load_patiently(*arguments):
    """A connection may meet a worker that is leaving."""
    for _ in range(100):
        try:
            if body := load(*arguments):
                return body
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit("the server does not answer")


def work(number, results):
    digest = hashlib.md5()
    for i in range(60):
        digest.update(load_patiently(f"/{i % 50 + 1}.txt"))
        digest.update(load_patiently(f"/again/{i % 50 + 1}.txt"))
        digest.update(load_patiently(f"/answer?x={number}"))
    results[number] = digest.hexdigest()


def main():
    load_patiently("/1.txt")
    results = [None] * 6
    threads = [threading.Thread(target=work, args=(i, results)) for i in range(6)]
    for thread in threads:
        thread.start()
    reloads = 0
    while any(thread.is_alive() for thread in threads) or reloads < 5:
        os.kill(SERVER, signal.SIGHUP)
        reloads += 1
        time.sleep(0.3)
    for thread in threads:
        thread.join()
    print(*results, sep="\n")
    print(hashlib.md5(load_patiently("/50.txt", "gzip")).hexdigest())


main()
