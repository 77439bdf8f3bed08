"""Evaluations as their author sees them and as subscribers do, from a live run on paper to the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from actors.sandbox.host import Limits
from actors.sandbox.pool import Pool
from core.ids import RunId
from core.notice import Notice, notice_of
from core.run import TradingMode
from schema.pg import PgStore
from tests.facade.evaluated import LivePaper
from tests.facade.world import as_user

PRINTING = """
def strategy(context):
    print("closes at", context.price, "\\0")
    close = context.candles.close
    action = "buy" if close[-1] > close[-2] else "hold"
    return {"action": action, "reason": "up\\0", "indicators": {"last\\0": close[-1]}}
"""
DRAWING = """
import random
def strategy(context):
    return {"action": "hold", "indicators": {"drawn": random.random(), "price": context.price}}
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    started = Pool(Limits(), workers=1)
    started.start()
    yield started
    started.close()


def get(client: TestClient, user: str, path: str, **params: Any) -> Any:
    answer = client.get(f"/api/{path}", params=params, headers=as_user(user))
    assert answer.status_code == 200, answer.text
    return answer.json()


def executions(client: TestClient, user: str, run: RunId) -> Any:
    return get(client, user, f"runs/{run}/executions")["executions"]


def test_what_a_live_evaluation_took_reached_and_led_to_is_told(
    client: TestClient, store: PgStore, pool: Pool
) -> None:
    """Issue 6: duration, rolling average, nodes, subscribers reached, orders made, time of its limit, prints."""
    paper = LivePaper(store, pool, "-u-")
    strategy = paper.strategy(PRINTING)
    runs = {user: paper.run(strategy, user) for user in ("bob", "cid")}
    paper.play(3)

    told = get(client, "ann", f"strategies/{strategy.id}/evaluations")["evaluations"]
    assert [each["evaluation"]["signal"] for each in told] == ["hold", "long", "hold"]
    assert [each["ordersMade"] for each in told] == [0, 2, 0]
    assert [each["printed"].split()[:3] for each in told] == [["closes", "at", "1010.0"]] * 2 + [
        ["closes", "at", "1000.0"]
    ]
    for newer, each in enumerate(told):
        shown, older = each["evaluation"], told[newer:]
        assert (shown["runsReached"], shown["nodesExecuted"], each["worker"]) == (2, 1, "worker")
        assert 0 < shown["usedMs"] < shown["limitMs"] == 2_000
        durations = [one["evaluation"]["durationMs"] for one in older]
        assert shown["averageMs"] == pytest.approx(sum(durations) / len(durations), abs=0.01)

    [hold, bought, _] = executions(client, "bob", runs["bob"])
    assert (hold["ordersMade"], bought["ordersMade"]) == (0, 1)
    assert bought["evaluation"] == told[1]["evaluation"]


def test_prints_and_totals_are_the_authors_alone(client: TestClient, store: PgStore, pool: Pool) -> None:
    """I12: a subscriber sees the evaluation, not what the code printed, and not that there is such a page."""
    paper = LivePaper(store, pool, "u")
    strategy = paper.strategy(PRINTING)
    run = paper.run(strategy, "bob")
    paper.play(1)
    for user in ("bob", "eve"):
        refused = client.get(f"/api/strategies/{strategy.id}/evaluations", headers=as_user(user))
        unknown = client.get(f"/api/strategies/{run}/evaluations", headers=as_user(user))
        assert (refused.status_code, refused.json()["error"]) == (404, unknown.json()["error"])
    assert "closes at" not in client.get(f"/api/runs/{run}/executions", headers=as_user("bob")).text
    assert "closes at" not in client.get(f"/api/runs/{run}/logs", headers=as_user("bob")).text


def test_code_that_answers_differently_is_found_live_and_does_not_go_live(
    client: TestClient, store: PgStore, pool: Pool
) -> None:
    """Issue 6: what was answered live is evaluated again; a difference is an event, a notice and a warning."""
    paper = LivePaper(store, pool, "u-")
    alike, drawn = paper.strategy(PRINTING), paper.strategy(DRAWING)
    for strategy, user in ((alike, "bob"), (drawn, "cid")):
        paper.run(strategy, user)
    paper.play(2)

    assert get(client, "ann", f"strategies/{alike.id}/evaluations")["warnings"] == []
    [warning] = get(client, "ann", f"strategies/{drawn.id}/evaluations")["warnings"]
    assert (warning["version"], warning["kind"]) == (1, "not_deterministic")
    first, second = warning["detail"]["first"], warning["detail"]["second"]
    assert set(first) == set(second) == {"indicators"}
    assert first["indicators"]["drawn"] != second["indicators"]["drawn"]

    [event] = [event for event in store.events(limit=1_000) if event.type == "strategy.warning"]
    assert (event.user_id, event.run_id, event.payload["version"]) == ("ann", None, 1)
    assert notice_of(event.type, event.payload) is Notice.ERROR

    for strategy, status, code in ((drawn, 422, "NOT_DETERMINISTIC"), (alike, 200, None)):
        live = paper.run(strategy, "dan", trading_mode=TradingMode.LIVE, active=False)
        started = client.post(f"/api/runs/{live}/start", headers=as_user("dan"))
        assert (started.status_code, started.json().get("code")) == (status, code)


def test_whom_an_evaluation_reached_is_counted_though_runs_ask_one_by_one(
    client: TestClient, store: PgStore, pool: Pool
) -> None:
    """Decision 16: code that looks at positions is evaluated once for all runs that hold the same."""
    paper = LivePaper(store, pool, "u")
    strategy = paper.strategy(PRINTING, uses_position=True)
    for user in ("bob", "cid", "dan"):
        paper.run(strategy, user)
    paper.play(1)
    [told] = get(client, "ann", f"strategies/{strategy.id}/evaluations")["evaluations"]
    assert told["evaluation"]["runsReached"] == 3


def test_strategies_of_the_same_content_share_an_evaluation_and_both_show_it(
    client: TestClient, store: PgStore, pool: Pool
) -> None:
    """I20, I12: one row, of the strategy that asked first; the other's runs see it, and its author what was printed."""
    paper = LivePaper(store, pool, "u")
    first, second = paper.strategy(PRINTING), paper.strategy(PRINTING, author="eve")
    runs = {"bob": paper.run(first, "bob"), "cid": paper.run(second, "cid")}
    paper.play(1)
    shown = [executions(client, user, run)[0]["evaluation"] for user, run in runs.items()]
    assert shown[0] == shown[1]
    assert shown[0]["runsReached"] == 2
