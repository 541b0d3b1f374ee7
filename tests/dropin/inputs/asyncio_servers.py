"""Servers and clients on one loop, threads and child processes beside it; prints what is fixed."""
import asyncio
import hashlib
import ssl  # noqa: F401  (a large extension module, loaded for its own sake)
import sys


async def answer(reader, writer):
    while line := await reader.readline():
        data = b"".join(hashlib.sha256(line + bytes([i])).digest() for i in range(40))
        writer.write(len(data).to_bytes(4, "big") + data)
        await writer.drain()
    writer.close()


async def ask(path, number):
    reader, writer = await asyncio.open_unix_connection(path)
    digest = hashlib.md5()
    for i in range(60):
        writer.write(f"{number} {i}\n".encode())
        length = int.from_bytes(await reader.readexactly(4), "big")
        digest.update(await reader.readexactly(length))
    writer.close()
    await writer.wait_closed()
    return digest.hexdigest()


async def run_child(number):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"print(sum(len(str(i)) for i in range({number})))",
        stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    return int(output)


async def main():
    server = await asyncio.start_unix_server(answer, "socket")
    print(*await asyncio.gather(*(ask("socket", i) for i in range(30))), sep="\n")
    print(await asyncio.gather(*(run_child(i * 10000) for i in range(6))))
    print(await asyncio.gather(*(asyncio.to_thread(lambda n: len(bytes(n)) + n, i * 100000)
                                 for i in range(30))))
    server.close()
    await server.wait_closed()


asyncio.run(main())
