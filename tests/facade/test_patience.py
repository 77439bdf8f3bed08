"""How long what is sent may wait to be taken: as long as some of it is."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import uvicorn

from facade.callers import Callers
from facade.patience import Crowd, Patience, protocol_in
from facade.server import listen

TAKEN_S: Final = 0.4
REPORT: Final = b"x" * 2_000_000
"""Much more than the kernel holds of an answer."""
WAIT_S: Final = 10.0


async def _report(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": REPORT})


@contextlib.asynccontextmanager
async def _asked() -> AsyncIterator[asyncio.StreamReader]:
    """What a caller reads who has asked for the report and whose own kernel holds little."""
    crowd = Crowd(Callers(()), Patience(taken_s=TAKEN_S))
    config = uvicorn.Config(_report, http=protocol_in(crowd), lifespan="off", log_config=None)
    listening, running = listen("127.0.0.1", 0), uvicorn.Server(config)
    serving = asyncio.create_task(running.serve([listening]))
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    caller.connect(listening.getsockname())
    reader, writer = await asyncio.open_connection(sock=caller, limit=65_536)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        yield reader
    finally:
        writer.close()
        running.should_exit = True
        await asyncio.wait_for(serving, WAIT_S)


def test_a_large_answer_arrives_whole_at_a_slow_reader_who_goes_on_taking_it() -> None:
    async def story() -> int:
        taken, loop = 0, asyncio.get_running_loop()
        async with _asked() as reader:
            begun = loop.time()
            while some := await asyncio.wait_for(reader.read(100_000), WAIT_S):
                taken += len(some)
                # As slow as to take three times as long as nothing may be taken.
                await asyncio.sleep(begun + 3 * TAKEN_S * taken / len(REPORT) - loop.time())
        return taken

    assert asyncio.run(story()) >= len(REPORT)


def test_a_large_answer_that_nothing_is_taken_of_any_more_is_ended() -> None:
    async def story() -> int:
        async with _asked() as reader:
            taken = len(await reader.readexactly(500_000))
            await asyncio.sleep(4 * TAKEN_S)
            with contextlib.suppress(ConnectionResetError):
                while some := await asyncio.wait_for(reader.read(100_000), WAIT_S):
                    taken += len(some)
        return taken

    assert asyncio.run(story()) < len(REPORT)
