"""What a run has done, over HTTP: its owner's alone, a page at a time, under its own path and its strategy's."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from core.definition import Visibility
from core.ids import AccountId, RunId, UserId
from core.order import Leg
from core.run import Run
from schema import pg_history
from schema.desk import OpenRun, ReviseStrategy
from schema.pg import PgStore
from schema.records import Account, ExecutionRow, ExecutionStatus, SlotReport
from tests.facade.world import ADMIN, as_user, go_live
from tests.schema.conformance.world import World

ALICE, BOB = as_user("alice"), as_user("bob")
PAGES = ["stats", "executions", "logs", "events", "orders", "trades", "positions"]


def get(client: TestClient, run: Run, page: str, **params: Any) -> Any:
    answer = client.get(f"/api/runs/{run.id}/{page}", params=params, headers=ALICE)
    assert answer.status_code == 200, answer.text
    by_strategy = client.get(f"/api/strategies/{run.strategy.id}/{page}", params=params, headers=ALICE)
    assert by_strategy.json() | {"requestId": ""} == answer.json() | {"requestId": ""}
    return answer.json()


def walk(client: TestClient, run: Run, page: str, key: str, limit: int = 2, **params: Any) -> list[Any]:
    """Everything of a list, page by page."""
    seen, cursor = [], None
    for _ in range(50):
        told = get(client, run, page, limit=limit, **params, **({"cursor": cursor} if cursor else {}))
        assert len(told[key]) <= limit
        seen += told[key]
        cursor = told["nextCursor"]
        if cursor is None:
            return seen
    raise AssertionError("the list does not end")


def test_orders_say_why_they_were_made(client: TestClient, world: World, store: PgStore) -> None:
    run = world.run("alice")
    world.next_slot()
    fence = world.claim(run).fence
    why = {"signal": "long", "reason": "RSI 22", "indicators": {"rsi": 22.0}, "gates": {"cooldown": "open"}}
    op = replace(world.intent(run, fence), why=why)
    world.settle(op)
    world.filled(op.order, "101", commission="0.5")
    world.filled(world.committed(run, fence, leg=Leg.EXIT), "111")
    exit_, entry = walk(client, run, "orders", "orders", limit=1)
    assert (entry["leg"], entry["status"], entry["averagePrice"]) == ("entry", "filled", "101")
    assert (entry["why"], exit_["why"], exit_["reduceOnly"]) == (why, {}, True)


def test_round_trips_make_the_totals(client: TestClient, world: World) -> None:
    run = world.run("alice")
    for pnl in ("10", "-4", "-8", "20"):
        world.trade(run, pnl)
    trades = walk(client, run, "trades", "trades")
    assert [each["pnl"] for each in trades] == ["20", "-8", "-4", "10"]
    stats = get(client, run, "stats")
    assert (stats["trades"], stats["wins"], stats["losses"], stats["winRatePct"]) == (4, 2, 2, 50.0)
    assert (stats["pnlUsdt"], stats["realizedPnlUsdt"], stats["roiPct"]) == ("18", "18", 0.18)
    assert (stats["bestTradeUsdt"], stats["worstTradeUsdt"], stats["profitFactor"]) == ("20", "-8", 2.5)
    assert stats["maxDrawdownUsdt"] == "12"
    assert stats["maxDrawdownPct"] == pytest.approx(100 * 12 / 10_010)
    assert (stats["totalExecutions"], stats["executions"]) == (4, {"ok": 4})
    assert stats["openPositions"] == 0


def test_what_is_open_is_shown_with_its_price(client: TestClient, world: World) -> None:
    run = world.run("alice")
    assert get(client, run, "positions")["positions"] == []
    world.held(run, quantity="2", price="100")
    [held] = get(client, run, "positions")["positions"]
    assert (held["side"], held["quantity"], held["entryPrice"], held["symbol"]) == (
        "long",
        "2",
        "100",
        "BTCUSDT",
    )
    assert get(client, run, "stats")["openPositions"] == 1


def test_executions_are_ticks_with_the_evaluation_they_shared(client: TestClient, world: World) -> None:
    run = world.run("alice")
    for signal in ("hold", "long", "hold"):
        slot = world.next_slot()
        evaluation = ExecutionRow(
            evaluation_key=f"key-{slot}",
            strategy_id=run.strategy.id,
            slot=slot,
            worker="node-1",
            duration_ms=1.5,
            status=ExecutionStatus.SUCCESS,
            action=signal,
            indicators={"rsi": 22.0},
            runs_reached=3,
        )
        tick = world.tick(run, world.claim(run).fence, signal=signal)
        world.store.report(SlotReport(ticks=(tick,), executions=(evaluation,)))
    told = walk(client, run, "executions", "executions")
    assert [each["signal"] for each in told] == ["hold", "long", "hold"]
    assert [each["slot"] for each in told] == sorted((each["slot"] for each in told), reverse=True)
    assert told[1]["evaluation"]["indicators"] == {"rsi": 22.0}
    assert told[1]["evaluation"]["runsReached"] == 3


def test_of_several_evaluations_at_a_slot_a_tick_shows_its_own(client: TestClient, world: World) -> None:
    """Decision 16: a strategy that looks at positions has one for each; another run's is not this one's."""
    run = world.run("alice")
    slot = world.next_slot()
    keys = [f"{digit}" * 64 for digit in "abc"]
    rows = [
        ExecutionRow(
            evaluation_key=key,
            strategy_id=run.strategy.id,
            slot=slot,
            worker="node-1",
            duration_ms=1.5,
            status=ExecutionStatus.NO_SIGNAL,
            reason=key[0],
        )
        for key in keys
    ]
    tick = replace(world.tick(run, world.claim(run).fence), evaluation=UUID(keys[1][:32]))
    world.store.report(SlotReport(ticks=(tick,), executions=tuple(rows)))
    [told] = get(client, run, "executions")["executions"]
    assert told["evaluation"]["reason"] == "b"


def test_logs_are_events_by_level(client: TestClient, world: World) -> None:
    run = world.run("alice")
    world.trade(run, "5")
    world.store.adapter_failed(run.id, slot=world.slot, kind="timeout", detail="no answer")
    world.store.arrange(ReviseStrategy(definition=replace(run.strategy, version=2)))
    events = walk(client, run, "events", "events")
    assert [event["seq"] for event in events] == list(range(len(events), 0, -1))
    by_level = {
        level: walk(client, run, "logs", "logs", level=level)
        for level in ("info", "signal", "trade", "error")
    }
    assert [each["type"] for each in by_level["info"]] == ["strategy.settings.updated"]
    assert [each["type"] for each in by_level["error"]] == ["error"]
    assert {each["type"].split("_")[0].split(".")[0] for each in by_level["trade"]} == {"order", "trade"}
    assert sum(map(len, by_level.values())) == len(events) == len(walk(client, run, "logs", "logs"))
    assert all(each["level"] == level for level, found in by_level.items() for each in found)


def test_a_page_of_a_rare_level_looks_at_so_many_events_and_goes_on(world: World, store: PgStore) -> None:
    run = world.run("alice")
    world.store.adapter_failed(run.id, slot=world.slot, kind="timeout", detail="no answer")
    for _ in range(3):
        world.trade(run, "5")
    found, pages, before = [], 0, pg_history.NEWEST
    while True:
        page = store.reads.events_page(run, before=before, kinds=["^error$"], scanned=3)
        found += [event.type for event in page.events]
        pages += 1
        if page.before is None:
            break
        before = page.before
    assert found == ["error"]
    assert pages > 3


@pytest.mark.parametrize("cursor", ["x", "eA==", "IzEyMzQ1Njc4OTAxMjM0NTY3ODkw", "I-1"])
def test_a_cursor_of_somebody_elses_making_is_400(client: TestClient, cursor: str) -> None:
    created = go_live(client, "alice")
    for page in ("orders", "trades", "events", "logs", "executions"):
        path = f"/api/runs/{created['runId']}/{page}"
        assert client.get(path, params={"cursor": cursor}, headers=ALICE).status_code == 400


def test_an_administrator_sees_every_runs_history_and_nobody_else_does(
    client: TestClient, world: World
) -> None:
    """I12."""
    run = world.run("alice")
    world.trade(run, "5")
    for page in PAGES:
        assert client.get(f"/api/runs/{run.id}/{page}", headers=ADMIN).status_code == 200
        assert client.get(f"/api/runs/{run.id}/{page}", headers=BOB).status_code == 404
        assert client.get(f"/api/strategies/{run.strategy.id}/{page}", headers=BOB).status_code == 404
    path = f"/api/strategies/subscriptions/{run.id}/stats"
    assert client.get(path, headers=ALICE).json()["trades"] == 1
    assert client.get(path, headers=ADMIN).status_code == 404


def test_several_runs_are_named_for_the_caller_to_choose(client: TestClient, world: World) -> None:
    run = world.run("alice")
    other = _subscribe(world, run, "alice")
    for page in PAGES:
        answer = client.get(f"/api/strategies/{run.strategy.id}/{page}", headers=ALICE)
        assert (answer.status_code, answer.json()["code"]) == (409, "SEVERAL_RUNS")
        assert {each["id"] for each in answer.json()["details"]} == {str(run.id), str(other.id)}


def test_the_marketplace_shows_records_and_nothing_personal(client: TestClient, world: World) -> None:
    run = world.run("alice")
    other = _subscribe(world, run, "bob-the-subscriber")
    world.store.arrange(
        ReviseStrategy(definition=replace(run.strategy, version=2, visibility=Visibility.MARKETPLACE))
    )
    world.run("eve")  # a private one
    for pnl in ("100", "-50"):
        world.trade(run, pnl)
    world.trade(other, "150")
    answer = client.get("/api/marketplace", headers=BOB)
    [listing] = answer.json()["strategies"]
    record = listing["record"]
    assert (record["runs"], record["trades"], record["pnlUsdt"]) == (2, 3, "200")
    assert record["winRatePct"] == pytest.approx(200 / 3)
    assert record["returnPct"] == pytest.approx((0.5 + 1.5) / 2)
    assert record["maxDrawdownPct"] == pytest.approx(100 * 50 / 10_100)
    text = answer.text
    personal = ["alice", "subscriber", str(run.id), str(run.account_id), str(other.id), str(other.account_id)]
    assert [each for each in personal if each in text] == []
    assert (
        client.get("/api/marketplace", params={"symbol": "eth_usdt"}, headers=BOB).json()["strategies"] == []
    )


def test_a_record_says_how_many_runs_it_does_not_look_at(client: TestClient, world: World) -> None:
    run = world.run("alice")
    public = replace(run.strategy, version=2, visibility=Visibility.MARKETPLACE)
    world.store.arrange(ReviseStrategy(definition=public))
    subscribed = [
        _subscribe(world, run, f"user-{number}") for number in range(pg_history.MAX_RECORD_RUNS - 1)
    ]
    world.trade(run, "100")
    [listing] = client.get("/api/marketplace", headers=BOB).json()["strategies"]
    assert (listing["record"]["runs"], listing["record"]["leftOut"]) == (pg_history.MAX_RECORD_RUNS, 0)
    late = _subscribe(world, run, "late")
    world.trade(late, "500")
    world.trade(subscribed[-1], "10")
    [listing] = client.get("/api/marketplace", headers=BOB).json()["strategies"]
    record = listing["record"]
    assert (record["runs"], record["leftOut"], record["pnlUsdt"]) == (
        pg_history.MAX_RECORD_RUNS + 1,
        1,
        "110",
    )


def test_the_marketplace_is_paged(client: TestClient) -> None:
    made = {go_live(client, "alice", name=f"n{n}", visibility="public")["id"] for n in range(3)}
    seen: list[str] = []
    cursor = None
    for _ in range(2):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/marketplace", params=params, headers=BOB).json()
        seen += [each["id"] for each in page["strategies"]]
        assert all(each["record"]["trades"] == 0 for each in page["strategies"])
        cursor = page["nextCursor"]
    assert cursor is None
    assert set(seen) == made


def _subscribe(world: World, run: Run, user: str) -> Run:
    account = Account(id=AccountId(world.id()), user_id=UserId(user), name="paper")
    new = replace(run, id=RunId(world.id()), user_id=UserId(user), account_id=account.id)
    opened = world.store.arrange(OpenRun(run=new, account=account, subscribed=True)).run
    assert opened is not None
    return opened
