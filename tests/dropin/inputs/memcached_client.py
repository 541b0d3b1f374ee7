"""Many clients that set, get, append and delete; prints what is fixed."""
import hashlib
import socket
import sys
import threading
import time


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rwb")

    def command(self, line, data=None):
        self.file.write(line.encode() + b"\r\n")
        if data is not None:
            self.file.write(data + b"\r\n")
        self.file.flush()
        return self.file.readline().strip()

    def get(self, key):
        answer = self.command(f"get {key}")
        if answer == b"END":
            return None
        data = self.file.read(int(answer.split()[3]) + 2)[:-2]
        assert self.file.readline() == b"END\r\n"
        return data


def wait_for(path):
    for _ in range(200):
        try:
            return Client(path)
        except OSError:
            time.sleep(0.05)
    sys.exit("the server does not answer")


def work(path, number, results):
    client = Client(path)
    digest = hashlib.md5()
    for i in range(600):
        data = bytes([i % 256]) * (i * 37 % 9000)
        key = f"key-{number}-{i}"
        assert client.command(f"set {key} 0 0 {len(data)}", data) == b"STORED"
        digest.update(client.command(f"append {key} 0 0 3", b"end"))
        got = client.get(key)
        assert got == data + b"end"
        digest.update(got)
        if i % 3 == 0:
            digest.update(client.command(f"delete {key}"))
        if i % 50 == 0:
            client = Client(path)
    results[number] = digest.hexdigest()


def main():
    path = sys.argv[1]
    client = wait_for(path)
    results = [None] * 12
    threads = [threading.Thread(target=work, args=(path, i, results)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\n".join(map(str, results)))
    client.command("set counter 0 0 1", b"1")
    print([client.command("incr counter 5") for _ in range(5)])
    print(client.command("flush_all"), client.get("counter"))


main()
