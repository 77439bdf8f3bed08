"""Kept connections to a host, against a real socket on this machine."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.errors import RunnerError
from exchanges.errors import Withheld
from exchanges.http import HttpPool, PoolRules
from exchanges.wire import Answer, Cost, NoAnswer, Request
from tests import live_loop
from tests.exchanges.certificate import localhost_contexts
from tests.exchanges.raw_host import Act, RawHost, Seen, answering, ok, reset, say, silence
from tests.fakes.loop_clock import until

READ = Request(method="GET", path="/time", cost=Cost())
ORDER = Request(
    method="POST", path="/order", query="symbol=BTCUSDT&sig=ab%20c", headers=(("X-KEY", "k"),), cost=Cost()
)
RULES = PoolRules(max_connections=2, max_waiting=3, max_body=1000)

Asking = Callable[[RawHost, HttpPool], Awaitable[None]]


def with_host(test: Asking, rules: PoolRules = RULES) -> None:
    async def run() -> None:
        async with answering() as host:
            pool = HttpPool(host.url, rules=rules)
            try:
                await asyncio.wait_for(_awaited(test(host, pool)), 20)
            finally:
                pool.close()

    live_loop.run(run())


async def _awaited(it: Awaitable[None]) -> None:
    await it


async def fails(
    pool: HttpPool, request: Request, *, timed_out: bool, sent: bool, timeout_s: float = 5
) -> None:
    with pytest.raises(NoAnswer) as failed:
        await pool.send(request, timeout_s=timeout_s)
    assert (failed.value.timed_out, failed.value.sent) == (timed_out, sent)
    assert "sig" not in str(failed.value)


def test_a_request_goes_out_byte_for_byte_and_its_answer_comes_back() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        host.acts = [say(ok(b'{"code":1}', status=400, headers="Retry-After: 7\r\n"))]
        answer = await pool.send(ORDER, timeout_s=5)
        assert answer == Answer(
            status=400, headers={"content-length": "10", "retry-after": "7"}, body=b'{"code":1}'
        )
        seen = host.seen[0]
        assert seen.line == "POST /order?symbol=BTCUSDT&sig=ab%20c HTTP/1.1"
        assert f"Host: 127.0.0.1:{host.port}\r\n" in seen.headers
        assert "X-KEY: k\r\n" in seen.headers
        assert "Content-Length: 0\r\n" in seen.headers

    with_host(test)


def test_a_body_and_a_base_path_are_sent() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        below = HttpPool(f"{host.url}/base/")
        await below.send(
            Request(method="POST", path="/x", body=b'{"a":"\xc3\xa9"}', cost=Cost()), timeout_s=5
        )
        below.close()
        assert host.seen[0].line == "POST /base/x HTTP/1.1"
        assert host.seen[0].body == b'{"a":"\xc3\xa9"}'

    with_host(test)


def test_connections_are_kept_and_never_more_than_the_bound() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        for _ in range(3):
            await pool.send(READ, timeout_s=5)
        assert host.connections == 1
        await asyncio.gather(*(pool.send(READ, timeout_s=5) for _ in range(5)))
        assert host.connections == 2
        assert len(host.seen) == 8

    with_host(test)


def test_calls_beyond_the_bound_of_the_queue_are_refused_unsent() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        host.acts = [silence, silence]
        calls = [asyncio.create_task(pool.send(READ, timeout_s=0.2)) for _ in range(5)]
        await until(lambda: len(host.seen) == 2, what="two requests")
        await fails(pool, READ, timed_out=False, sent=False)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        sent = [outcome.sent for outcome in outcomes if isinstance(outcome, NoAnswer)]
        assert sorted(sent) == [False] * len(sent[2:]) + [True, True]
        # Every place came back.
        await asyncio.gather(*(pool.send(READ, timeout_s=5) for _ in range(4)))

    with_host(test)


def test_i8_the_leave_is_asked_for_once_a_connection_is_free_and_what_it_keeps_back_never_arrives() -> None:
    """It is the last thing that is waited for: nothing read before a wait is a reason to send after it."""
    events: list[str] = []

    async def refused() -> None:
        raise Withheld("kill_switch")

    async def test(host: RawHost, pool: HttpPool) -> None:
        async def given() -> None:
            events.append(f"leave after {len(host.seen)} requests")

        host.acts = [silence]
        first = asyncio.create_task(pool.send(READ, timeout_s=5))
        await until(lambda: len(host.seen) == 1, what="a request on the only connection")
        waiting = asyncio.create_task(pool.send(replace(ORDER, leave=given), timeout_s=5))
        await asyncio.sleep(0)
        assert events == []
        first.cancel()
        await waiting
        assert events == ["leave after 1 requests"]
        with pytest.raises(Withheld):
            await pool.send(replace(ORDER, leave=refused), timeout_s=5)
        assert (await pool.send(READ, timeout_s=5)).status == 200
        assert [seen.line.split()[0] for seen in host.seen] == ["GET", "POST", "GET"]
        assert host.connections == 2, "the one that was to carry it is as good as before"

    with_host(test, PoolRules(max_connections=1))


def test_i8_a_connection_that_ends_while_the_leave_is_asked_for_is_replaced_and_the_leave_asked_for_again() -> (
    None
):
    async def test(host: RawHost, pool: HttpPool) -> None:
        asked = 0

        async def given() -> None:
            nonlocal asked
            asked += 1
            if asked == 1:
                ended = host.ended
                host.hang_up()
                await until(lambda: host.ended > ended, what="the end of the connection")

        await pool.send(READ, timeout_s=5)
        await pool.send(replace(ORDER, leave=given), timeout_s=5)
        assert asked == 2
        assert [seen.connection for seen in host.seen] == [0, 1]

    with_host(test)


def test_i8_a_leave_that_comes_too_late_is_none() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        async def slow() -> None:
            await asyncio.sleep(0.05)

        await fails(pool, replace(ORDER, leave=slow), timed_out=True, sent=False, timeout_s=0.01)
        await pool.send(READ, timeout_s=5)
        assert [seen.line.split()[0] for seen in host.seen] == ["GET"]

    with_host(test)


def test_an_idle_connection_is_not_used_beyond_its_time() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        await pool.send(READ, timeout_s=5)
        loop = asyncio.get_running_loop()
        freed_s = loop.time()
        await until(lambda: loop.time() > freed_s, what="the time of the loop, which goes on by milliseconds")
        await pool.send(READ, timeout_s=5)
        assert host.connections == 2

    with_host(test, PoolRules(max_idle_s=0.0, max_connections=1))


def test_no_server_is_not_sent() -> None:
    async def run() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            await fails(
                HttpPool(f"http://127.0.0.1:{taken.getsockname()[1]}"), ORDER, timed_out=False, sent=False
            )

    live_loop.run(run())


def test_i4_an_order_without_an_answer_counts_as_sent() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        host.acts = [silence]
        await fails(pool, ORDER, timed_out=True, sent=True, timeout_s=0.05)
        host.acts = [reset]
        await fails(pool, ORDER, timed_out=False, sent=True)
        assert len(host.seen) == 2

    with_host(test)


def test_i4_an_order_on_a_kept_connection_that_is_reset_is_not_sent_again() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        await pool.send(READ, timeout_s=5)
        host.acts = [reset]
        await fails(pool, ORDER, timed_out=False, sent=True)
        assert [seen.line for seen in host.seen[1:]] == ["POST /order?symbol=BTCUSDT&sig=ab%20c HTTP/1.1"]

    with_host(test)


def test_a_read_on_a_kept_connection_that_is_reset_is_asked_once_more() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        await pool.send(READ, timeout_s=5)
        host.acts = [reset]
        assert (await pool.send(READ, timeout_s=5)).status == 200
        host.acts = [reset, reset]
        await fails(pool, READ, timed_out=False, sent=True)
        assert len(host.seen) == 5

    with_host(test)


@pytest.mark.parametrize(
    "act",
    [
        say(ok(b"x" * 50)[:-10], then_end=True),
        say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxx", then_end=True),
        say(b"garbage\r\n\r\n"),
        say(ok(b"x" * 1001)),
    ],
)
def test_an_answer_cut_short_or_beyond_the_bounds_is_none_and_its_connection_is_not_used_again(
    act: Act,
) -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        host.acts = [act]
        await fails(pool, ORDER, timed_out=False, sent=True)
        assert (await pool.send(ORDER, timeout_s=5)).body == b"{}"
        assert host.seen[1].connection == 1

    with_host(test)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_to_connections_every_place_comes_back(seed: int) -> None:
    """Resets, silence, halves and cancelled calls at random; then all places are needed at the same moment."""
    rng = random.Random(seed)
    closing = say(ok(headers="Connection: close\r\n"), then_end=True)
    kinds: list[Act] = [
        say(ok()),
        say(ok()),
        closing,
        reset,
        silence,
        say(b"HTTP/1.1 200 OK\r\n", then_end=True),
    ]

    async def test(host: RawHost, pool: HttpPool) -> None:
        host.acts = [rng.choice(kinds) for _ in range(120)]
        for _ in range(12):
            calls = [
                asyncio.create_task(pool.send(rng.choice([READ, ORDER]), timeout_s=rng.choice([0.005, 0.02])))
                for _ in range(10)
            ]
            await asyncio.sleep(0)
            rng.choice(calls).cancel()
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(outcome, Answer | NoAnswer | asyncio.CancelledError)
        together = asyncio.Barrier(3)

        async def meet(_: Seen, writer: asyncio.StreamWriter) -> None:
            await together.wait()
            writer.write(ok(b"met"))

        host.acts = [meet, meet, meet]
        answers = await asyncio.gather(*(pool.send(ORDER, timeout_s=5) for _ in range(3)))
        assert [answer.body for answer in answers] == [b"met"] * 3

    with_host(test, PoolRules(max_connections=3, max_waiting=20))


def test_bytes_nobody_asked_for_end_the_connection() -> None:
    """A late second answer must not be taken for the next request's."""

    async def test(host: RawHost, pool: HttpPool) -> None:
        host.acts = [say(ok(b"one") + ok(b"late"))]
        assert (await pool.send(ORDER, timeout_s=5)).body == b"one"
        assert (await pool.send(ORDER, timeout_s=5)).body == b"{}"
        assert host.seen[1].connection == 1

    with_host(test)


def test_bytes_that_come_while_a_connection_idles_end_it() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        writers: list[asyncio.StreamWriter] = []

        async def answer_and_stay(_: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(ok(b"one"))
            writers.append(writer)

        host.acts = [answer_and_stay]
        assert (await pool.send(ORDER, timeout_s=5)).body == b"one"
        writers[0].write(ok(b"late"))
        await until(lambda: host.ended == 1, what="the end of the connection")
        assert (await pool.send(ORDER, timeout_s=5)).body == b"{}"

    with_host(test)


def test_a_call_that_is_cancelled_takes_its_connection_along() -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        host.acts = [silence]
        call = asyncio.create_task(pool.send(ORDER, timeout_s=5))
        await until(lambda: host.seen, what="the request")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert (await pool.send(ORDER, timeout_s=5)).body == b"{}"
        assert host.seen[1].connection == 1

    with_host(test)


@pytest.mark.parametrize(
    "request_",
    [
        Request(method="GET", path="/x y", cost=Cost()),
        Request(method="GET", path="/x", query="a=b\r\nX: y", cost=Cost()),
        Request(method="GET", path="/x", headers=(("A", "b\r\nC: d"),), cost=Cost()),
        Request(method="GET", path="/x", headers=(("A", "b\n"),), cost=Cost()),
    ],
)
def test_a_request_that_would_be_two_is_refused(request_: Request) -> None:
    async def test(host: RawHost, pool: HttpPool) -> None:
        with pytest.raises(RunnerError, match="line end"):
            await pool.send(request_, timeout_s=5)
        assert host.seen == []

    with_host(test)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://user:pass@x", "http://x/?a=b", "x"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(RunnerError, match="base URL"):
        HttpPool(url)


def test_over_tls_only_a_host_that_proves_its_name_is_spoken_to(tmp_path: Path) -> None:
    served, trusting = localhost_contexts(tmp_path)

    async def run() -> None:
        async with answering(served) as host:
            pool = HttpPool(f"https://localhost:{host.port}", tls=trusting)
            for _ in range(2):
                assert (await pool.send(ORDER, timeout_s=5)).body == b"{}"
            assert len({seen.connection for seen in host.seen}) == 1
            pool.close()
            # One that everybody's authorities do not know, and one by another name.
            for url, tls in (
                (f"https://localhost:{host.port}", None),
                (f"https://127.0.0.1:{host.port}", trusting),
            ):
                stranger = HttpPool(url, tls=tls)
                await fails(stranger, ORDER, timed_out=False, sent=False)
                stranger.close()
            assert len(host.seen) == 2

    live_loop.run(asyncio.wait_for(run(), 20))
