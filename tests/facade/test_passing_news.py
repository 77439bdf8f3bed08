"""Candles and evaluations on the streams: to whom they concern, once, without an id, and never at a stream's cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.testclient import TestClient
from websockets.asyncio.client import connect

from actors.passing import CANDLE_CLOSE, EXECUTION_COMPLETE
from core.ids import RunId, StrategyId, UserId
from core.market import Market, Series
from core.run import RunCommand
from core.timeframe import Timeframe
from facade.bridge import Event, PassingEvent
from facade.event_stream import EventHub, Following, Wanted
from schema.pg import PgStore
from tests.facade.test_event_stream import on_hub, toggle
from tests.facade.test_sockets import heard, served
from tests.facade.world import START, SmallRunner, as_user, go_live

QUEUE = 8
WAIT_S = 5.0


def candle(symbol: str = "BTCUSDT", *, timeframe: Timeframe = Timeframe.M5, key: str = "") -> PassingEvent:
    series = Series(venue="binance", market=Market.PERP, symbol=symbol, timeframe=timeframe)
    return PassingEvent(
        type=CANDLE_CLOSE, key=f"{series}{key}", at=START, series=series, payload={"symbol": symbol}
    )


def execution(strategy_id: str) -> PassingEvent:
    return PassingEvent(
        type=EXECUTION_COMPLETE,
        key=strategy_id,
        at=START,
        strategy_id=StrategyId(UUID(strategy_id)),
        payload={"strategy_id": strategy_id},
    )


async def events_of(following: Following) -> AsyncIterator[Event | PassingEvent]:
    async for some in following:
        for told in some:
            yield told.event


@pytest.fixture
def lives(client: TestClient, store: PgStore) -> dict[str, Any]:
    """alice trades BTC, bob ETH; carol's run of BTC is paused."""
    made = {
        "alice": go_live(client, "alice"),
        "bob": go_live(client, "bob", symbol="ETHUSDT"),
        "carol": go_live(client, "carol"),
    }
    for user in ("alice", "bob"):
        store.command(RunId(made[user]["runId"]), RunCommand.START, by=user)
    return made


@pytest.mark.parametrize(
    ("whose", "narrowed", "hears"),
    [
        ("alice", {}, ["BTCUSDT", "alice's"]),
        ("bob", {}, ["ETHUSDT", "bob's"]),
        ("carol", {}, ["BTCUSDT", "carol's"]),  # paused, but her own: she owns the strategy
        ("dora", {}, []),
        (None, {}, ["BTCUSDT", "ETHUSDT", "alice's", "bob's", "carol's"]),
        ("alice", {"run_id": "alice"}, ["BTCUSDT", "alice's"]),
        ("alice", {"run_id": "bob"}, []),
        ("carol", {"run_id": "carol"}, []),
        ("alice", {"strategy_id": "alice"}, ["BTCUSDT", "alice's"]),
        ("alice", {"strategy_id": "bob"}, []),
        ("alice", {"passing": False}, []),
    ],
)
def test_i12_each_hears_what_concerns_them(
    runner: SmallRunner,
    store: PgStore,
    lives: dict[str, Any],
    whose: str | None,
    narrowed: dict[str, Any],
    hears: list[str],
) -> None:
    strategies = {user: made["id"] for user, made in lives.items()}
    names = {id: f"{user}'s" for user, id in strategies.items()}
    if (run := narrowed.get("run_id")) is not None:
        narrowed = {"run_id": UUID(lives[run]["runId"])}
    if (strategy := narrowed.get("strategy_id")) is not None:
        narrowed = {"strategy_id": UUID(strategies[strategy])}
    user_id = None if whose is None else UserId(whose)
    wanted = Wanted(user_id=user_id, accepts=lambda event: False, **narrowed)
    news = [
        candle(),
        candle("ETHUSDT"),
        candle(timeframe=Timeframe.M15),
        *map(execution, strategies.values()),
    ]

    async def story(hub: EventHub) -> None:
        following = await hub.follow(wanted, owner=UserId("x"))
        everything = await hub.follow(Wanted(user_id=None), owner=UserId("y"))
        runner.news = [*news]
        told: list[str] = []
        async for event in events_of(everything):  # the last of the news has been handed to everybody
            if isinstance(event, PassingEvent) and event.key == news[-1].key:
                break
        await hub.close()
        async for event in events_of(following):
            assert isinstance(event, PassingEvent)
            told.append(names.get(str(event.strategy_id), event.payload.get("symbol", "")))
        expected = hears if whose is not None else sorted([*hears, "BTCUSDT"])
        assert sorted(told) == sorted(expected)

    on_hub(runner, story)


def test_what_several_processes_tell_is_told_once_and_what_passed_before_not_at_all(
    runner: SmallRunner, lives: dict[str, Any]
) -> None:
    async def story(hub: EventHub) -> None:
        runner.news = [candle(key="before")]
        following = events_of(await hub.follow(Wanted(user_id=None), owner=UserId("x")))
        runner.news = [candle(), candle()]
        told = [await asyncio.wait_for(anext(following), WAIT_S)]
        runner.news = [candle(), candle(key="last")]
        told.append(await asyncio.wait_for(anext(following), WAIT_S))
        assert [event.key for event in told if isinstance(event, PassingEvent)] == [
            candle().key,
            candle(key="last").key,
        ]

    on_hub(runner, story)


def test_they_take_half_the_places_and_never_cut_a_stream(
    runner: SmallRunner, store: PgStore, lives: dict[str, Any]
) -> None:
    """Invariants §7: what is stored finds its place whatever passes."""
    run_id = RunId(lives["alice"]["runId"])

    async def story(hub: EventHub) -> None:
        idle = events_of(await hub.follow(Wanted(user_id=None), owner=UserId("x")))
        other = events_of(await hub.follow(Wanted(user_id=None), owner=UserId("y")))
        runner.news = [candle(key=str(number)) for number in range(3 * QUEUE)]
        seen = await asyncio.wait_for(anext(other), WAIT_S)
        assert isinstance(seen, PassingEvent)
        await asyncio.to_thread(toggle, store, run_id, QUEUE // 2)
        stored = 0
        async for event in other:
            stored += not isinstance(event, PassingEvent)
            if stored == QUEUE // 2:
                break
        assert (hub.readers, hub.cuts) == (2, 0)
        told = [await asyncio.wait_for(anext(idle), WAIT_S) for _ in range(QUEUE)]
        assert [isinstance(event, PassingEvent) for event in told] == [True] * 4 + [False] * 4

    on_hub(runner, story, queue_events=QUEUE)


def test_a_socket_and_server_sent_events_tell_them_without_an_id(
    runner: SmallRunner, lives: dict[str, Any]
) -> None:
    """A client's cursor stays where the last stored event has put it."""
    events = f"/api/runs/{lives['alice']['runId']}/stream"

    async def story() -> None:
        async with served(runner) as url:
            async with connect(f"{url}{events}", additional_headers=as_user("alice")) as socket:
                assert (await heard(socket))["type"] == "stream.open"
                runner.news = [candle()]
                assert await heard(socket) == {
                    "type": "candle.close",
                    "at": "2026-03-10T12:00:00Z",
                    "payload": {"symbol": "BTCUSDT"},
                }
            address = url.replace("ws://", "http://") + events
            async with (
                httpx.AsyncClient(timeout=WAIT_S) as http,
                http.stream("GET", address, headers=as_user("alice")) as answer,
            ):
                lines = answer.aiter_lines()
                assert [await anext(lines) for _ in range(3)][2] == ""
                runner.news = [candle(key="again")]
                assert await asyncio.wait_for(anext(lines), WAIT_S) == "event: candle.close"
                data = json.loads((await anext(lines)).removeprefix("data: "))
                assert data["payload"] == {"symbol": "BTCUSDT"}
                assert await anext(lines) == ""

    asyncio.run(story())
