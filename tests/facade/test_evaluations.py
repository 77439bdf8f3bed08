"""Evaluations as their author sees them and as subscribers do, from a live run on paper to the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from actors.sandbox.host import Limits
from actors.sandbox.pool import Pool
from core.ids import RunId
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
