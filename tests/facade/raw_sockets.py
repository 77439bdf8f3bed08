"""What no client sends: a corpus of broken requests, and a server of its own to send it to.

The short form is a test. The long one measures, against a server in its own process:

    python -m tests.facade.raw_sockets [--rounds 20] [--slow 300]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from core.redact import Secret
from facade.app import build_app
from facade.patience import Patience
from facade.server import listen, server
from tests.facade.world import SECRET, SmallRunner, make_settings, token_of

HOST: Final = b"Host: 127.0.0.1\r\n"
PATIENCE: Final = Patience(head_s=1.0, body_s=1.5, taken_s=1.5, per_address=400)
"""Of the server under test: the limits are the same, the waits shorter."""
AT_ONCE: Final = 60
ANSWER_S: Final = 30.0
_TOKEN: Final = token_of("root", admin=True).encode()
_AUTH: Final = b"Authorization: Bearer " + _TOKEN + b"\r\n"
_PUT: Final = b"PUT /api/runner/kill-switch HTTP/1.1\r\n" + HOST + _AUTH


def _with_body(body: bytes, *headers: bytes) -> bytes:
    return _PUT + b"".join(each + b"\r\n" for each in headers) + b"\r\n" + body


def _put(body: bytes) -> bytes:
    return _with_body(body, b"Content-Length: %d" % len(body))


CORPUS: Final[Mapping[str, bytes]] = {
    "nothing at all": b"",
    "one byte": b"G",
    "line ends only": b"\r\n" * 2_000,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    "NUL bytes": b"\0" * 5_000,
    "every byte": bytes(range(256)) * 20,
    "truncated request line": b"GET /healthz HT",
    "truncated headers": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A",
    "truncated body": _with_body(b'{"on": tr', b"Content-Length: 500"),
    "version of the future": b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\n" + HOST * 2 + b"\r\n",
    "method of its own": b"EXPLODE /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "method with control characters": b"G\x01T /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "path of 30 kB": b"GET /" + b"a" * 30_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "path of 1 MB": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "path with NUL": b"GET /api/runs/%00 HTTP/1.1\r\n" + HOST + _AUTH + b"\r\n",
    "path of broken UTF-8": b"GET /api/runs/%ff%fe HTTP/1.1\r\n" + HOST + _AUTH + b"\r\n",
    "path out of its folder": b"GET /static/../../../../etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n",
    "query of broken UTF-8": b"GET /api/strategies?cursor=%ff%00 HTTP/1.1\r\n" + HOST + _AUTH + b"\r\n",
    "query of 5,000 fields": b"GET /api/strategies?" + b"&".join(b"a%d=1" % n for n in range(3_000))
    + b" HTTP/1.1\r\n" + HOST + _AUTH + b"\r\n",
    "header of 1 MB": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "4,000 headers": b"GET /healthz HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 4_000 + b"\r\n",
    "header never ending": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 1_000_000,
    "header without name": b"GET /healthz HTTP/1.1\r\n" + HOST + b": b\r\n\r\n",
    "header folded": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "header of broken UTF-8": b"GET /api/runner/status HTTP/1.1\r\n" + HOST
    + b"Authorization: Bearer \xff\xfe.\xff.\xff\r\nx-request-id: \xff\xff\xff\xff\xff\xff\xff\xff\r\n\r\n",
    "token of 20 kB": b"GET /api/runner/actors HTTP/1.1\r\n" + HOST
    + b"Authorization: Bearer " + b"a." * 10_000 + b"\r\n\r\n",
    "content length too large": _with_body(b"{}", b"Content-Length: 99999999999999999999"),
    "content length lies upward": _with_body(b"{}", b"Content-Length: 200"),
    "content length lies downward": _with_body(b'{"on": true}' * 50, b"Content-Length: 2"),
    "content length negative": _with_body(b"{}", b"Content-Length: -1"),
    "content length no number": _with_body(b"{}", b"Content-Length: two"),
    "two content lengths": _with_body(b"{}", b"Content-Length: 2", b"Content-Length: 3"),
    "length and chunks": _with_body(b"2\r\n{}\r\n0\r\n\r\n", b"Content-Length: 4", b"Transfer-Encoding: chunked"),
    "chunk that lies": _with_body(b"ffffffff\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "chunk that is none": _with_body(b"zz\r\n{}\r\n", b"Transfer-Encoding: chunked"),
    "chunks of one byte": _with_body(b"1\r\n \r\n" * 5_000, b"Transfer-Encoding: chunked"),
    "unknown encoding": _with_body(b"{}", b"Transfer-Encoding: gzip"),
    "body on a GET": b"GET /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 2000000\r\n\r\n" + b"a" * 2_000_000,
    "body of 2 MB": _put(b" " * 2_000_000),
    "deep JSON": _put(b"[" * 100_000),
    "deep JSON, closed": _put(b"[" * 50_000 + b"]" * 50_000),
    "deep JSON in a field": _put(b'{"on": ' + b'{"a":' * 40_000 + b"1" + b"}" * 40_000 + b"}"),
    "JSON of broken UTF-8": _put(b'{"on": true, "reason": "\xff\xfe"}'),
    "JSON with half a character": _put(rb'{"on": false, "reason": "\ud800"}'),
    "JSON with NUL": _put(rb'{"on": false, "reason": "\u0000"}'),
    "number of 100,000 digits": _put(b'{"on": ' + b"9" * 100_000 + b"}"),
    "expects a continuation": _with_body(b"", b"Content-Length: 10", b"Expect: 100-continue"),
    "wants another protocol": b"GET / HTTP/1.1\r\n" + HOST
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "wants a WebSocket": b"GET /api/signals/stream HTTP/1.1\r\n" + HOST
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n",
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 60,
    "many in a row": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n") * 200,
    "one, then nonsense": b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n" + b"\0\1\2",
    "proxy's form": b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
}  # fmt: skip


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`slowest_s`: of the answers to somebody who asked properly meanwhile; memory in MB."""

    sent: int
    answered: Mapping[str, int]
    asked: int
    slowest_s: float
    memory_before: float
    memory_grown: float


async def send(port: int, data: bytes) -> bytes:
    """What comes back before the server ends it, at most 64 kB. The connection is left open, as a liar would."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await asyncio.wait_for(writer.drain(), ANSWER_S)
            return await asyncio.wait_for(reader.read(65_536), ANSWER_S)
        return b""
    finally:
        writer.transport.abort()


async def drip(port: int, until: asyncio.Event) -> None:
    """A slow-loris: one more byte of a request again and again, and again a new connection when it is cut."""
    request = itertools.cycle(b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"a" * 2_000)
    while not until.is_set():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            while not until.is_set() and not writer.transport.is_closing():
                writer.write(bytes([next(request)]))
                await asyncio.sleep(0.05)
            writer.transport.abort()


async def ask_properly(port: int, until: asyncio.Event) -> list[float]:
    """How long each of somebody's proper requests took."""
    took = []
    while not until.is_set():
        began = time.perf_counter()
        answer = await send(port, b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        took.append(time.perf_counter() - began)
        if b" 200 " not in answer.split(b"\r\n", 1)[0]:
            raise AssertionError(f"a proper request was answered {answer[:200]!r}")
        await asyncio.sleep(0.02)
    return took


async def attack(port: int, pid: int, *, rounds: int, slow: int) -> Report:
    before = resident_mb(pid)
    over = asyncio.Event()
    asking = asyncio.create_task(ask_properly(port, over))
    dripping = [asyncio.create_task(drip(port, over)) for _ in range(slow)]
    places = asyncio.Semaphore(AT_ONCE)
    answered: dict[str, int] = {}

    async def one(data: bytes) -> None:
        async with places:
            answer = await send(port, data)
        words = answer.split(b"\r\n", 1)[0].split()
        status = words[1].decode() if len(words) > 1 else "cut"
        answered[status] = answered.get(status, 0) + 1

    try:
        await asyncio.gather(*(one(data) for _ in range(rounds) for data in CORPUS.values()))
    finally:
        over.set()
        await asyncio.gather(*dripping)
    took = await asking
    return Report(
        sent=rounds * len(CORPUS),
        answered=dict(sorted(answered.items())),
        asked=len(took),
        slowest_s=round(max(took), 3),
        memory_before=before,
        memory_grown=round(resident_mb(pid) - before, 1),
    )


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)


@contextlib.contextmanager
def server_process() -> Iterator[tuple[int, int]]:
    """Port and process id of a server with the whole application over no database."""
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.facade.raw_sockets", "--serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        yield int(running.stdout.readline()), running.pid
    finally:
        running.terminate()
        running.wait(30)


def _serve() -> None:
    settings = make_settings(RUNNER_RATE_LIMIT_ADDRESS="0", RUNNER_RATE_LIMIT_USER="0")
    app = build_app(SmallRunner(None), settings, demo_secret=Secret(SECRET))
    listening = listen("127.0.0.1", 0)
    print(listening.getsockname()[1], flush=True)
    asyncio.run(server(app, PATIENCE).serve([listening]))


def main(given: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--serve", action="store_true")
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--slow", type=int, default=300)
    asked: Any = options.parse_args(given)
    if asked.serve:
        _serve()
        return
    with server_process() as (port, pid):
        asyncio.run(attack(port, pid, rounds=1, slow=0))  # the first requests load what is loaded once
        report = asyncio.run(attack(port, pid, rounds=asked.rounds, slow=asked.slow))
    print(json.dumps(msgspec.to_builtins(report)))


if __name__ == "__main__":
    main()
