"""Requests as whole processes, beside what is common: in turn, many at once, and one that is large.

In turn: small requests of one script, against bash with curl and jq. At once: `each --parallel`, against the rate of
httpx.AsyncClient and of aiohttp (left out where these are not installed), which record nothing. Large: a download with
`--save` against curl, and the memory for it. The server is a process of its own on loopback. What two sides do is done
in turn, and the medians are compared. Exits with 1 below a limit.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 3
IN_TURN, AT_ONCE, PARALLEL = 200, 1000, 50
LARGE_BYTES = 10**9
IN_TURN_MIN = 10.0  # of the requests/s of bash; nu reaches 508/s where bash reaches 29
AT_ONCE_MIN = 3.0  # of the requests/s of httpx
LARGE_MIN = 0.5  # of the bytes/s of curl
RSS_MAX_MIB = 80

BODY = b'{"id": 7, "status": "passed"}'
SMALL = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
PIECE = bytes(range(256)) * 1024

BASH = "for ((i = 0; i < {count}; i++)); do curl -s {url}/builds/$i | jq -r .status > /dev/null; done"
SCRIPT = "for i in 0..<{count} {{ let found = GET {url}/builds/$i; $found.status | tap {{}} }}"
PARALLEL_SCRIPT = "range 1 {count} | each --parallel {parallel} {{ GET {url}/builds/$it }} | count"
HTTPX = """
import asyncio, httpx
async def main():
    gate = asyncio.Semaphore({parallel})
    async with httpx.AsyncClient() as client:
        async def one(i):
            async with gate:
                answer = await client.get(f"{url}/builds/{{i}}")
                return answer.json()
        await asyncio.gather(*(one(i) for i in range({count})))
asyncio.run(main())
"""
AIOHTTP = """
import asyncio, aiohttp
async def main():
    gate = asyncio.Semaphore({parallel})
    async with aiohttp.ClientSession() as client:
        async def one(i):
            async with gate, client.get(f"{url}/builds/{{i}}") as answer:
                return await answer.json()
        await asyncio.gather(*(one(i) for i in range({count})))
asyncio.run(main())
"""


def main() -> int:
    if sys.argv[1:] == ["--serve"]:
        asyncio.run(serve())
        return 0
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    try:
        with tempfile.TemporaryDirectory() as directory:
            environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
            environment |= {"FMSH_STATE_DIR": f"{directory}/state", "FMSH_NO_DAEMON": "1"}
            is_good = [in_turn(url, environment), at_once(url, environment), large(url, directory, environment)]
    finally:
        server.terminate()
        server.wait()
    return 0 if all(is_good) else 1


def in_turn(url: str, environment: dict[str, str]) -> bool:
    bash = ["bash", "-c", BASH.format(count=IN_TURN, url=url)]
    of_bash, of_fmsh = compare([bash, fmsh(SCRIPT.format(count=IN_TURN, url=url))], environment)
    return tell(f"{IN_TURN} in turn", IN_TURN / of_fmsh, IN_TURN / of_bash, "requests/s", "bash", IN_TURN_MIN)


def at_once(url: str, environment: dict[str, str]) -> bool:
    given = {"count": AT_ONCE, "parallel": PARALLEL, "url": url}
    programs = {"httpx": HTTPX, "aiohttp": AIOHTTP}
    programs = {name: text for name, text in programs.items() if importlib.util.find_spec(name)}
    commands = [[sys.executable, "-c", text.format(**given)] for text in programs.values()]
    of_fmsh, *others = compare([fmsh(PARALLEL_SCRIPT.format(**given)), *commands], environment)
    what, is_good = f"{AT_ONCE}, {PARALLEL} at once", True
    if not programs:
        print(f"      {what}: {AT_ONCE / of_fmsh:,.0f} requests/s, and there is nothing installed to compare with")
    for name, took_s in zip(programs, others, strict=True):
        least = AT_ONCE_MIN if name == "httpx" else 0.0
        is_good &= tell(what, AT_ONCE / of_fmsh, AT_ONCE / took_s, "requests/s", name, least)
    return is_good


def large(url: str, directory: str, environment: dict[str, str]) -> bool:
    curl = ["curl", "-s", "-o", f"{directory}/curl.bin", f"{url}/large"]
    of_curl, of_fmsh = compare([curl, fmsh(f"GET {url}/large --save {directory}/fmsh.bin")], environment)
    assert os.path.getsize(f"{directory}/fmsh.bin") == LARGE_BYTES
    what = f"a download of {LARGE_BYTES // 10**6} MB"
    is_fast = tell(what, LARGE_BYTES / of_fmsh / 1e6, LARGE_BYTES / of_curl / 1e6, "MB/s", "curl", LARGE_MIN)
    peak_mib = peak_kib(fmsh(f"GET {url}/large --save {directory}/fmsh.bin"), environment) / 1024
    is_small = peak_mib <= RSS_MAX_MIB
    print(f"{verdict(is_small)} {what}: {peak_mib:.0f} MiB resident at most (limit {RSS_MAX_MIB})")
    return is_fast and is_small


def fmsh(text: str) -> list[str]:
    return [sys.executable, "-m", "fmsh", "-c", text]


def compare(commands: list[list[str]], environment: dict[str, str]) -> list[float]:
    """Runs them in turn; gives the medians in seconds."""
    took_s: list[list[float]] = [[] for _ in commands]
    for _ in range(RUNS):
        for command, own in zip(commands, took_s, strict=True):
            begin = time.perf_counter()
            subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
            own.append(time.perf_counter() - begin)
    return [statistics.median(own) for own in took_s]


def peak_kib(command: list[str], environment: dict[str, str]) -> int:
    """The most memory that a process had. It is asked for by a process between, which has no other children."""
    program = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    program += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run(
        [sys.executable, "-c", program, *command], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1]) // (1024 if sys.platform == "darwin" else 1)


def tell(what: str, own: float, other: float, unit: str, whose: str, share_min: float) -> bool:
    is_good = own / other >= share_min
    limit = f" (limit {share_min})" if share_min else ""
    mark = verdict(is_good) if share_min else " " * 5
    print(f"{mark} {what}: {own:,.0f} {unit}, {whose} {other:,.0f}, share {own / other:.2f}{limit}", flush=True)
    return is_good


def verdict(is_good: bool) -> str:
    return "good " if is_good else "BAD  "


# ---- The server ------------------------------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """Answers every request at once; what it costs is not to be seen in the figures."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""
        self._may_write = asyncio.Event()
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for head in heads:
            if head.startswith(b"GET /large "):
                self._task = asyncio.get_running_loop().create_task(self._send_large())
            else:
                self._transport.write(SMALL)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    async def _send_large(self) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE_BYTES)
        rest = LARGE_BYTES
        while rest and not self._transport.is_closing():
            self._transport.write(PIECE[:rest])
            rest -= min(rest, len(PIECE))
            await self._may_write.wait()


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
