"""A kept stream, against a real WebSocket server on this machine; time is moved by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from exchanges.errors import Banned, ErrorKind, RateLimited, Unreachable
from exchanges.stream import MAX_WAIT_S, VenuePings, WePing
from exchanges.web_socket import Sender
from tests import live_loop
from tests.exchanges.kept_stream import DAY_S, OVERLAP_S, QUIET, Kept, case, kept
from tests.exchanges.stream_venue import streaming
from tests.fakes.loop_clock import START, until


@case
async def test_it_says_hello_then_tells_what_comes() -> None:
    async with kept() as it:
        await it.opened_times(1)
        assert it.opened == [None]
        assert it.stream.is_open
        await it.venue.tell("one")
        await it.venue.tell("two")
        await it.heard("one", "two")
        await it.said(0, "subscribe")


@case
async def test_a_dropped_connection_is_opened_anew_at_once_and_tells_since_when() -> None:
    async with kept() as it:
        await it.opened_times(1)
        it.clock.move(50.0)
        await it.venue.tell("news")
        await it.heard("news")
        it.clock.move(200.0)
        it.venue.connections[0].transport.abort()
        await it.opened_times(2)
        assert it.opened == [None, START + timedelta(seconds=50)]
        await it.said(1, "subscribe")
        await it.venue.tell("more")
        await it.heard("news", "more")


@case
async def test_a_connection_that_does_not_last_is_tried_again_with_growing_pauses() -> None:
    async with kept() as it:
        for count, pause_s in enumerate([1.0, 2.0, 4.0, 8.0, 8.0], start=1):
            await it.opened_times(count)
            await it.venue.connections[-1].close()
            await it.clock.pass_sleep(pause_s)
        await it.opened_times(6)


@case
async def test_a_refused_handshake_is_tried_again() -> None:
    def refuse(it: Kept) -> None:
        it.venue.refuse = 2

    async with kept(prepare=refuse) as it:
        await it.clock.pass_sleep(1.0)
        assert not it.stream.is_open
        await it.clock.pass_sleep(2.0)
        await it.opened_times(1)
        assert it.venue.asked == 3


@pytest.mark.parametrize(
    ("refusal", "pause_s"),
    [
        (RateLimited("too many", retry_after_s=33.0), 33.0),
        (Banned("banned", until=START + timedelta(seconds=77)), 77.0),
        (Banned("banned", until=START + timedelta(days=3)), MAX_WAIT_S),
    ],
)
def test_a_pause_the_venue_asks_for_is_kept(refusal: Exception, pause_s: float) -> None:
    @case
    async def test() -> None:
        async with kept(prepare=lambda it: it.before_url.append(refusal)) as it:
            await it.clock.pass_sleep(pause_s)
            await it.clock.pass_sleep(1.0)
            await it.opened_times(1)

    test()


@case
async def test_a_venue_out_of_reach_for_the_listen_key_is_tried_again() -> None:
    away = Unreachable(ErrorKind.CONNECTION, "away")
    async with kept(prepare=lambda it: it.before_url.append(away)) as it:
        await it.clock.pass_sleep(1.0)
        await it.opened_times(1)


@case
async def test_silence_for_the_idle_time_ends_the_connection() -> None:
    async with kept(VenuePings(idle_timeout_s=300.0)) as it:
        await it.opened_times(1)
        await it.clock.asleep(300.0)
        it.clock.move(200.0)
        await it.venue.tell("news")
        await it.heard("news")
        it.clock.move(100.0)
        # 200 of the 300 seconds were before the news.
        await it.clock.pass_sleep(200.0)
        await it.opened_times(2)
        assert it.opened[1] == START + timedelta(seconds=200)


@case
async def test_a_ping_of_the_venue_is_answered_and_is_a_sign_of_life() -> None:
    async with kept(VenuePings(idle_timeout_s=300.0)) as it:
        await it.opened_times(1)
        await it.clock.asleep(300.0)
        it.clock.move(200.0)
        answered = await it.venue.connections[0].ping()
        await asyncio.wait_for(answered, 5)
        it.clock.move(100.0)
        await it.clock.asleep(200.0)
        assert it.opened == [None]


PING = WePing(every_s=20.0, within_s=8.0, text='{"op":"ping"}')


@case
async def test_our_ping_is_sent_by_the_rule_and_any_answer_keeps_the_connection() -> None:
    async with kept(PING) as it:
        it.venue.answers['{"op":"ping"}'] = ["pong"]
        await it.opened_times(1)
        for pings in (1, 2):
            await it.clock.pass_sleep(12.0)
            await until(lambda pings=pings: it.messages == ["pong"] * pings, what="a pong")
            await it.clock.pass_sleep(8.0)
        await it.clock.asleep(12.0)
        await it.said(0, "subscribe", '{"op":"ping"}', '{"op":"ping"}')
        assert it.opened == [None]


@case
async def test_a_ping_without_an_answer_ends_the_connection() -> None:
    async with kept(PING) as it:
        await it.opened_times(1)
        await it.venue.tell("news")
        await it.heard("news")
        await it.clock.pass_sleep(12.0)
        await it.clock.pass_sleep(8.0)
        await it.clock.pass_sleep(1.0)
        await it.opened_times(2)
        assert it.opened[1] == START


@case
async def test_a_ping_frame_is_answered_by_any_server() -> None:
    async with kept(WePing(every_s=20.0, within_s=20.0)) as it:
        await it.opened_times(1)
        for _ in range(3):
            await it.clock.asleep(20.0)
            await it.venue.tell("x")  # after the frame on the line: once it is heard, so is the answer
            await until(lambda: it.messages, what="the message behind the answer")
            it.messages.clear()
            it.clock.move(20.0)
        await it.clock.asleep(20.0)
        assert it.opened == [None]


@case
async def test_a_rollover_overlaps_and_misses_nothing() -> None:
    """Messages told all the time, also while both connections stand: each arrives, some twice, no gap is told."""
    async with kept() as it:
        await it.opened_times(1)
        told = 0

        async def tell(count: int) -> None:
            nonlocal told
            for _ in range(count):
                await it.venue.tell(f"m{told}")
                told += 1

        await tell(50)
        await it.clock.asleep(DAY_S)
        it.clock.move(200.0)
        it.stream.roll_over()
        await tell(50)
        await it.clock.asleep(OVERLAP_S)
        assert len(it.venue.standing) == 2
        await tell(50)
        it.clock.move(OVERLAP_S)
        await until(lambda: len(it.venue.standing) == 1, what="the old one closed")
        assert it.stream.is_open
        await tell(50)
        await until(lambda: f"m{told - 1}" in it.messages, what="the last message")
        assert {f"m{n}" for n in range(told)} == set(it.messages)
        assert len(it.messages) > told
        assert it.opened == [None]
        await it.said(1, "subscribe")


@case
async def test_it_rolls_over_by_itself_before_the_venue_closes() -> None:
    async with kept(VenuePings(idle_timeout_s=10 * DAY_S)) as it:
        await it.opened_times(1)
        for rolled in (1, 2):
            await it.clock.pass_sleep(DAY_S)
            await until(lambda rolled=rolled: len(it.venue.connections) > rolled, what="the second one")
            await it.clock.pass_sleep(OVERLAP_S)
            await until(lambda: len(it.venue.standing) == 1, what="the old one closed")
        await it.said(2, "subscribe")


@case
async def test_a_rollover_that_loses_the_old_one_before_the_new_one_stands_is_a_gap() -> None:
    async with kept() as it:
        await it.opened_times(1)
        await it.clock.asleep(DAY_S)
        it.venue.refuse = 1
        it.clock.move(200.0)
        it.stream.roll_over()
        await it.clock.asleep(1.0)
        assert it.stream.is_open
        it.venue.connections[0].transport.abort()
        await until(lambda: not it.stream.is_open, what="the loss")
        it.clock.move(1.0)
        await it.opened_times(2)
        assert it.opened == [None, START]


@case
async def test_a_listen_key_that_has_expired_drops_the_connection_for_a_new_one() -> None:
    async with kept() as it:
        await it.opened_times(1)
        it.clock.move(200.0)
        await it.venue.tell("expired")
        await it.heard("expired")
        it.stream.drop()
        await it.opened_times(2)
        assert it.opened[1] == START + timedelta(seconds=200)


@case
async def test_an_answer_to_a_question_in_hello_is_not_told_and_all_else_is() -> None:
    async def hello(sender: Sender) -> None:
        answer = await sender.ask("login", lambda message: message == b"welcome", timeout_s=5)
        await sender.say(f"heard {answer.decode()}")

    def prepare(it: Kept) -> None:
        it.hello = hello
        it.venue.answers["login"] = ["early news", "welcome", "welcome"]

    async with kept(prepare=prepare) as it:
        await it.opened_times(1)
        await until(lambda: "heard welcome" in it.venue.texts(0), what="the answer")
        await it.heard("early news", "welcome")


@case
async def test_a_hello_without_its_answer_is_said_again_on_a_new_connection() -> None:
    async def hello(sender: Sender) -> None:
        await sender.ask("login", lambda message: message == b"welcome", timeout_s=0.05)

    def prepare(it: Kept) -> None:
        it.hello = hello

    async with kept(prepare=prepare) as it:
        await it.clock.asleep(1.0)
        assert not it.stream.is_open
        it.venue.answers["login"] = ["welcome"]
        it.clock.move(1.0)
        await it.opened_times(1)
        await it.said(1, "login")


@case
async def test_a_connection_that_ends_while_it_is_asked_is_tried_again() -> None:
    async def hello(sender: Sender) -> None:
        await sender.ask("login", lambda message: message == b"welcome", timeout_s=20)

    def prepare(it: Kept) -> None:
        it.hello = hello

    async with kept(prepare=prepare) as it:
        await until(lambda: it.venue.texts(0) == ["login"], what="the question")
        await it.venue.connections[0].close()
        it.venue.answers["login"] = ["welcome"]
        await it.clock.pass_sleep(1.0)
        await it.opened_times(1)


@case
async def test_no_more_messages_a_second_than_the_venue_allows() -> None:
    async with kept() as it:
        await it.opened_times(1)
        sending = asyncio.create_task(_said(it, 8))
        await it.clock.asleep(1.0)
        await until(lambda: len(it.venue.heard) == 5, what="hello and four more")
        it.clock.move(1.0)
        await sending
        await until(lambda: len(it.venue.heard) == 9, what="the rest")


async def _said(it: Kept, count: int) -> None:
    for number in range(count):
        await it.stream.send(f"subscribe {number}")


@case
async def test_sending_while_no_connection_stands_says_nothing() -> None:
    def refuse(it: Kept) -> None:
        it.venue.refuse = 1

    async with kept(prepare=refuse) as it:
        await it.clock.asleep(1.0)
        await it.stream.send("subscribe too early")
        it.clock.move(1.0)
        await it.opened_times(1)
        await it.said(0, "subscribe")


@case
async def test_a_message_in_parts_is_told_whole() -> None:
    async with kept() as it:
        await it.opened_times(1)
        await it.venue.connections[0].send(["he", "l", "", "lo"])
        await it.venue.tell("next")
        await it.heard("hello", "next")


@pytest.mark.parametrize("flood", ["bytes", "parts"])
def test_a_message_beyond_the_bounds_ends_the_connection(flood: str) -> None:
    @case
    async def test() -> None:
        async with kept() as it:
            await it.opened_times(1)
            parts = ["x" * 65_000] if flood == "bytes" else [""] * 2_000
            with suppress(Exception):
                await it.venue.connections[0].send(parts)
            await it.clock.pass_sleep(1.0)
            await it.opened_times(2)
            assert it.messages == []

    test()


def ends_with(fault: Exception, prepare: Callable[[Kept], None], caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with streaming() as venue:
            it = Kept(venue, QUIET)
            prepare(it)
            running = asyncio.create_task(it.stream.run())
            if it.fault is not None:
                await it.opened_times(1)
                await venue.tell("news")
            with pytest.raises(type(fault)) as raised:
                await asyncio.wait_for(running, 5)
            assert raised.value is fault
            assert not it.stream.is_open
            assert [record.levelname for record in caplog.records if "stream_faulted" in record.message] == [
                "ERROR"
            ]

    live_loop.run(test())


@pytest.mark.parametrize("where", ["message", "open", "url"])
def test_a_fault_of_ours_ends_the_stream_with_that_error_in_the_log(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    fault = KeyError("ours")

    def prepare(it: Kept) -> None:
        if where == "message":
            it.fault = fault
        elif where == "url":
            it.before_url.append(fault)
        else:
            it.open_fault = fault

    ends_with(fault, prepare, caplog)


def test_i13_no_listen_key_or_login_reaches_the_log_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def hello(sender: Sender) -> None:
        await sender.say("login canary-signature")

    def prepare(it: Kept) -> None:
        it.hello = hello
        it.venue.refuse = 1

    @case
    async def test() -> None:
        async with kept(prepare=prepare) as it:
            await it.clock.pass_sleep(1.0)
            await it.opened_times(1)
            it.venue.connections[0].transport.abort()
            await it.clock.pass_sleep(2.0)
            await it.opened_times(2)

    test()
    ours = [record for record in caplog.records if not record.name.startswith("websockets.server")]
    assert any("stream_refused" in record.message for record in ours)
    assert [record for record in ours if "canary" in record.getMessage() + str(record.exc_info)] == []


@pytest.mark.parametrize(("every_s", "within_s"), [(20.0, 21.0), (20.0, 0.0)])
def test_a_ping_rule_that_cannot_be_kept_is_refused(every_s: float, within_s: float) -> None:
    with pytest.raises(ValueError, match="answered before"):
        WePing(every_s=every_s, within_s=within_s)
