"""Signals: listed and streamed to whom they belong, by the same filters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient
from websockets.asyncio.client import connect

from core.ids import RunId
from core.run import RunCommand
from core.signal_policy import SignalLimits
from schema.pg import PgStore
from schema.records import Ask, SlotReport, TickRow, TickSource, TickStatus
from tests.facade.test_sockets import heard, served
from tests.facade.world import ADMIN, START, WORKER, SmallRunner, as_user, client_of, go_live

Said = tuple[str, str, float | None]
SAID: list[Said] = [
    ("BTCUSDT", "long", 7.5),
    ("BTCUSDT", "short", None),
    ("ETHUSDT", "exit_long", 2.0),
    ("BTCUSDT", "hold", 9.0),
    ("ETHUSDT", "long", 9.0),
]


@pytest.fixture
def http(runner: SmallRunner) -> Iterator[TestClient]:
    with client_of(runner) as opened:
        yield opened


@pytest.fixture
def runs(http: TestClient, store: PgStore) -> dict[str, RunId]:
    """Alice's run of each symbol, active."""
    made = {}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        made[symbol] = RunId(go_live(http, "alice", symbol=symbol)["runId"])
        store.command(made[symbol], RunCommand.START, by="alice")
    return made


def say(store: PgStore, run_id: RunId, slot: datetime, signal: str, score: float | None) -> None:
    ask = Ask(slot=slot, source=TickSource.TIMER, at=slot)
    (claim,) = store.claim([run_id], slot=slot, owner=WORKER, ttl_s=120, ask=ask)
    tick = TickRow(
        run_id=claim.run_id,
        user_id=claim.user_id,
        slot=slot,
        status=TickStatus.OK,
        signal=signal,
        score=score,
        scheduled_at=slot,
        finished_at=slot,
        worker=WORKER,
        fence=claim.fence,
    )
    store.report(SlotReport(ticks=(tick,)))


def say_all(store: PgStore, runs: dict[str, RunId]) -> None:
    for index, (symbol, signal, score) in enumerate(SAID):
        say(store, runs[symbol], START + timedelta(minutes=5 * index), signal, score)


CASES: list[tuple[str, list[Said]]] = [
    ("", [SAID[4], SAID[2], SAID[1], SAID[0]]),
    ("symbol=BTC/USDT", [SAID[1], SAID[0]]),
    ("action=long", [SAID[4], SAID[0]]),
    ("minScore=2", [SAID[4], SAID[2], SAID[0]]),
    ("symbol=ethusdt&action=long&minScore=8", [SAID[4]]),
    ("symbol=SOLUSDT", []),
]


def listed(answer: Any) -> list[Said]:
    return [(row["symbol"], row["action"], row["score"]) for row in answer.json()["signals"]]


def test_a_users_signals_are_listed_by_filter_newest_first_and_nobody_elses(
    http: TestClient, store: PgStore, runs: dict[str, RunId]
) -> None:
    """I12"""
    say_all(store, runs)
    for query, expected in CASES:
        assert listed(http.get(f"/api/signals?{query}", headers=as_user("alice"))) == expected, query
        assert listed(http.get(f"/api/signals?{query}", headers=as_user("bob"))) == []
    page = http.get("/api/signals?limit=3", headers=as_user("alice"))
    rest = http.get(f"/api/signals?limit=3&cursor={page.json()['nextCursor']}", headers=as_user("alice"))
    assert listed(page) + listed(rest) == CASES[0][1]
    assert rest.json()["nextCursor"] is None
    assert http.get("/api/signals?symbol=1", headers=as_user("alice")).status_code == 400


def test_lists_and_streams_tell_a_signal_in_the_one_form(
    runner: SmallRunner, http: TestClient, store: PgStore, runs: dict[str, RunId]
) -> None:
    say(store, runs["BTCUSDT"], START, "exit_long", 7.5)
    (row,) = http.get("/api/signals", headers=as_user("alice")).json()["signals"]
    form = row["signal"]
    assert (form["symbol"], form["action"], form["score"], form["ttl"]) == ("BTC", "CLOSE", 7.5, 300)

    async def story() -> None:
        async with served(runner) as url:
            for path in ("/api/signals/stream", "/api/events/stream"):
                address = f"{url}{path}?lastEventId=0"
                async with connect(address, additional_headers=as_user("alice")) as socket:
                    await heard(socket)
                    told = await heard(socket)
                    while told["type"] != "signal":
                        assert "signal" not in told
                        told = await heard(socket)
                    assert told["signal"] == form

    asyncio.run(story())


def test_administrators_see_what_was_withheld_and_why(
    http: TestClient, store: PgStore, runs: dict[str, RunId]
) -> None:
    say(store, runs["BTCUSDT"], START, "long", 7.5)
    say(store, runs["BTCUSDT"], START + timedelta(minutes=5), "short", 7.5)
    hour = timedelta(hours=1)
    store.published.gather(SignalLimits(cooldown=hour, ttl=hour, max_alive=5), [])
    for query, expected in (
        ("", [("SHORT", "cooldown"), ("LONG", None)]),
        ("withheld=true&symbol=BTCUSDT", [("SHORT", "cooldown")]),
        ("symbol=ETHUSDT", []),
    ):
        answer = http.get(f"/api/signals/published?{query}", headers=ADMIN).json()["signals"]
        assert [(each["signal"]["action"], each["withheld"]) for each in answer] == expected
    first = http.get("/api/signals/published?limit=1", headers=ADMIN).json()
    rest = http.get(f"/api/signals/published?limit=1&cursor={first['nextCursor']}", headers=ADMIN).json()
    assert (rest["signals"][0]["signal"]["action"], rest["nextCursor"]) == ("LONG", None)


def test_the_stream_of_signals_filters_as_the_list_does(
    runner: SmallRunner, store: PgStore, runs: dict[str, RunId]
) -> None:
    """I11: and it begins at the client's cursor."""
    say_all(store, runs)
    end = max(event.id for event in store.events())

    async def story() -> None:
        async with served(runner) as url:
            for query, expected in CASES:
                address = f"{url}/api/signals/stream?lastEventId=0&{query}"
                async with connect(address, additional_headers=as_user("alice")) as socket:
                    await heard(socket)
                    got = [(await heard(socket))["payload"] for _ in expected]
                    said = [(each["symbol"], each["signal"], each.get("score")) for each in got]
                    assert said == list(reversed(expected)), query
            address = f"{url}/api/signals/stream?lastEventId={end}&action=exit_long"
            async with connect(address, additional_headers=as_user("alice")) as socket:
                await heard(socket)
                later = START + timedelta(hours=1)
                say(store, runs["BTCUSDT"], later, "long", 5.0)
                say(store, runs["ETHUSDT"], later, "exit_long", None)
                assert (await heard(socket))["payload"]["symbol"] == "ETHUSDT"

    asyncio.run(story())
