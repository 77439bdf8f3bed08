"""The page's data: who may read it, what it says, and that it never looks ahead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from core.mark import Mark
from core.run import Run, TradingMode
from core.timeframe import to_ms
from facade.app import build_app
from facade.overview import ClockShown, Surroundings, overview_answer
from facade.routes.overview import FRESH_S, OverviewRoutes
from schema.pg import PgStore
from schema.records import AccountKind
from tests.facade.page_world import SmallMarket, SparseMarket, last_close, page_app, seed
from tests.facade.world import ADMIN, BASE_URL, START, SmallRunner, as_user, make_settings


@pytest.fixture
def runs(store: PgStore) -> dict[str, Run]:
    return seed(store)


@pytest.fixture
def page(runner: SmallRunner) -> Iterator[TestClient]:
    with TestClient(page_app(runner), base_url=BASE_URL, client=("127.0.0.1", 50_000)) as opened:
        yield opened


def overview(page: TestClient) -> Any:
    answer = page.get("/api/overview", headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return answer.json()


def of_user(rows: list[Any], user: str) -> Any:
    return next(row for row in rows if row["userId"] == user)


@pytest.mark.parametrize("path", ["/api/overview", "/api/overview/chart", "/api/overview/events"])
def test_the_pages_data_is_for_administrators_alone(page: TestClient, path: str) -> None:
    """I12: it holds everybody's rows."""
    assert page.get(path).status_code == 401
    assert page.get(path, headers=as_user("alice")).status_code == 403


def test_a_run_shows_its_tick_position_and_what_may_be_done(page: TestClient, runs: dict[str, Run]) -> None:
    row = of_user(overview(page)["runs"], "alice")
    assert row["id"] == str(runs["alice"].id)
    assert (row["status"], row["signal"], row["tick"]["status"]) == ("active", "long", "ok")
    assert row["nextSlot"] == "2026-03-10T12:01:00Z"
    assert row["actions"] == ["pause", "stop"]
    held = row["position"]
    assert (held["side"], held["quantity"], float(held["entryPrice"])) == ("long", "1", 60_000)
    assert float(held["price"]) == last_close("BTCUSDT")
    assert float(held["unrealised"]) == pytest.approx(last_close("BTCUSDT") - 60_000)
    assert float(row["realised"]) == -0.04


def test_equity_is_the_balance_with_what_is_open(page: TestClient, runs: dict[str, Run]) -> None:
    answer = overview(page)
    account = of_user(answer["accounts"], "alice")
    unrealised = float(of_user(answer["runs"], "alice")["position"]["unrealised"])
    assert float(account["equity"]) == pytest.approx(10_000 - 0.04 + unrealised)
    assert account["balances"][-1] == pytest.approx(9_999.96)
    assert len(account["times"]) == len(account["balances"])


def test_a_user_who_is_shut_out_is_told_why_and_each_gate_is_counted(
    page: TestClient, runs: dict[str, Run]
) -> None:
    """I7, as it is shown."""
    users = overview(page)["users"]
    bob, carol = of_user(users, "bob"), of_user(users, "carol")
    assert bob["blocked"] == "paused"
    assert bob["why"] == "Paused until 11 Mar 12:00 UTC: the daily loss reached 50 USDT."
    assert {gate["gate"]: (gate["ticks"], gate["pauses"]) for gate in bob["gates"]} == {
        "paused": (1, 0),
        "daily_loss": (0, 1),
    }
    assert carol["blocked"] == "max_trades"
    assert (carol["trades"], carol["maxTrades"]) == (1, 1)
    assert [gate["gate"] for gate in carol["gates"]] == ["max_trades"]
    assert overview(page)["tickCounts"] == {"ok": 1, "blocked": 2}


def test_a_paused_run_may_be_resumed_or_stopped(page: TestClient, runs: dict[str, Run]) -> None:
    assert page.post(f"/api/runs/{runs['bob'].id}/pause", json={}, headers=ADMIN).status_code == 200
    row = of_user(overview(page)["runs"], "bob")
    assert (row["status"], row["nextSlot"], row["actions"]) == ("paused", None, ["resume", "stop"])


def test_however_many_ask_at_once_the_rows_are_read_once(runner: SmallRunner, runs: dict[str, Run]) -> None:
    now = [0.0]
    routes = OverviewRoutes(SparseMarket(), runner.reads, monotonic=lambda: now[0]).routes()
    app = build_app(runner, make_settings(), pages=routes)
    with TestClient(app, base_url=BASE_URL, client=("127.0.0.1", 50_000)) as page:
        assert overview(page)["ready"]["ledger"]
        runner.up = False
        assert overview(page)["ready"]["ledger"]
        now[0] = FRESH_S
        assert not overview(page)["ready"]["ledger"]


def test_the_chart_ends_with_the_last_closed_candle(page: TestClient, runs: dict[str, Run]) -> None:
    """I10, on the page too: the source knows an hour more."""
    chart = page.get(f"/api/overview/chart?runId={runs['alice'].id}", headers=ADMIN).json()
    assert chart["times"][-1] == to_ms(START - timedelta(minutes=1)) // 1000
    assert len(chart["times"]) == len(chart["close"]) == len(chart["open"]) == 300
    assert chart["close"][-1] == last_close("BTCUSDT")
    assert chart["entryPrice"] is not None
    assert chart["origin"] == "generated (seed 7)"


def test_without_candles_nothing_is_made_up(runner: SmallRunner, runs: dict[str, Run]) -> None:
    with TestClient(page_app(runner, SparseMarket()), base_url=BASE_URL, client=("127.0.0.1", 1)) as page:
        held = of_user(overview(page)["runs"], "alice")["position"]
        assert (held["price"], held["unrealised"]) == (None, None)
        chart = page.get(f"/api/overview/chart?runId={runs['alice'].id}", headers=ADMIN).json()
        assert (chart["times"], chart["markers"]) == ([], [])


def test_a_live_position_is_valued_at_its_venues_mark_a_paper_one_at_the_close(
    runner: SmallRunner, store: PgStore, runs: dict[str, Run]
) -> None:
    class Marked(SmallMarket):
        def mark(self, venue: str, symbol: str) -> Mark | None:
            return Mark(price=Decimal(60_123), at=START) if (venue, symbol) == ("paper", "BTCUSDT") else None

    def position(mode: TradingMode) -> Any:
        read = runner.reads.overview(equity_points=1)
        live = [replace(each, run=replace(each.run, trading_mode=mode)) for each in read.runs]
        clock = ClockShown(now=START, speed=1.0, paused=False, demo=False)
        around = Surroundings(clock=clock, ready={}, platform=store.platform())
        answer = overview_answer(replace(read, runs=live), Marked(), around)
        [held] = [row.position for row in answer.runs if row.position is not None]
        return held

    live, paper = position(TradingMode.LIVE), position(TradingMode.PAPER)
    assert (live.mark_price, live.mark_at, live.unrealised) == (60_123, START, 123)
    assert (paper.mark_price, paper.mark_at) == (None, None)
    assert live.price == paper.price
    assert paper.unrealised == paper.price - 60_000


def test_gains_of_a_connection_are_what_its_runs_made_not_what_its_owner_holds(
    runner: SmallRunner, store: PgStore, runs: dict[str, Run]
) -> None:
    read = runner.reads.overview(equity_points=1)
    live = [
        replace(each, account=replace(each.account, kind=AccountKind.CONNECTION, bankroll=Decimal(0)))
        for each in read.accounts
    ]
    around = Surroundings(
        clock=ClockShown(now=START, speed=1.0, paused=False, demo=False), ready={}, platform=store.platform()
    )
    answer = overview_answer(replace(read, accounts=tuple(live)), SmallMarket(), around)
    account = next(each for each in answer.accounts if each.user_id == "alice")
    held = next(each for each in answer.runs if each.user_id == "alice").position
    assert held is not None
    assert held.unrealised is not None
    assert account.equity - account.bankroll == held.unrealised - Decimal("0.04")


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("?runId=x", 400), (f"?runId={uuid4()}", 404), ("?run=1", 400)]
)
def test_a_chart_of_no_run_is_refused(page: TestClient, query: str, status: int) -> None:
    assert page.get(f"/api/overview/chart{query}", headers=ADMIN).status_code == status


def test_the_stream_goes_on_where_the_newest_events_end(page: TestClient, runs: dict[str, Run]) -> None:
    answer = page.get("/api/overview/events", headers=ADMIN).json()
    ids = [event["id"] for event in answer["events"]]
    assert ids == sorted(ids)
    assert answer["lastId"] == ids[-1]
    kinds = {event["type"] for event in answer["events"]}
    assert {"order_submit", "order_fill", "risk_block", "signal"} <= kinds


def test_an_empty_installation_has_an_empty_page(page: TestClient) -> None:
    answer = overview(page)
    assert (answer["runs"], answer["accounts"], answer["users"]) == ([], [], [])
    events = page.get("/api/overview/events", headers=ADMIN).json()
    assert (events["events"], events["lastId"]) == ([], 0)


def test_no_number_is_anything_json_cannot_say(page: TestClient, runs: dict[str, Run]) -> None:
    text = page.get("/api/overview", headers=ADMIN).text
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the answer"))
