"""Against broken and slow clients the service goes on answering everybody else, in bounded memory."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from facade.callers import Callers
from facade.patience import Crowd, Patience
from tests.facade.raw_sockets import ANSWER_S, CORPUS, HOST, attack, send, server_process

GROWTH_MB = 50


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[int, int]]:
    with server_process() as port_and_pid:
        yield port_and_pid


def test_nothing_a_socket_can_bring_is_a_5xx_stops_the_service_or_fills_its_memory(
    served: tuple[int, int],
) -> None:
    port, pid = served
    asyncio.run(attack(port, pid, rounds=1, slow=0))  # the first requests load what is loaded once
    report = asyncio.run(attack(port, pid, rounds=1, slow=50))
    assert report.sent == len(CORPUS) == sum(report.answered.values())
    assert [status for status in report.answered if status.startswith("5")] == []
    assert report.asked > 0
    assert report.memory_grown < GROWTH_MB


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHo",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc",
        b"POST /api/runner/cron HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_who_begins_and_does_not_go_on_is_cut(served: tuple[int, int], begun: bytes) -> None:
    """`send` raises TimeoutError for a connection that is kept."""

    async def wait() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served[0])
        writer.write(begun)
        try:
            while await asyncio.wait_for(reader.read(65_536), ANSWER_S):
                pass
        except ConnectionResetError:
            pass
        writer.transport.abort()

    asyncio.run(wait())


def test_who_takes_nothing_of_what_is_sent_is_cut(served: tuple[int, int]) -> None:
    with socket.create_connection(("127.0.0.1", served[0]), timeout=ANSWER_S) as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        taker.setblocking(False)
        with suppress(BlockingIOError):
            taker.send((b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n") * 20_000)
        ended = select.poll()
        ended.register(taker, 0)  # errors and the other end's going are told without being asked for
        assert ended.poll(ANSWER_S * 1_000)


def test_what_is_no_http_is_answered_in_the_form_of_every_error(served: tuple[int, int]) -> None:
    answer = asyncio.run(send(served[0], b"\x16\x03\x01\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"BAD_REQUEST"' in answer
    assert b"nosniff" in answer


def test_one_address_has_so_many_connections_and_a_proxy_of_ours_as_many_as_there_are() -> None:
    crowd = Crowd(Callers(["10.0.0.0/8"]), Patience(per_address=2))
    assert [crowd.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert crowd.enter("192.0.2.2")
    assert [crowd.enter("10.1.2.3") for _ in range(3)] == [True, True, True]
    crowd.leave("192.0.2.1")
    assert crowd.enter("192.0.2.1")
