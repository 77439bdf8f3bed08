"""Node graphs in long work over HTTP: backtests of them, gone live with, and what a change of one would have done."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from schema.pg import PgStore
from tests.facade.work.conftest import DAYS, FIRST, SERIES, some_candles
from tests.facade.work.test_backtests import ASKED, ended
from tests.facade.work.test_what_if import outcome
from tests.facade.world import SmallRunner, as_user

ALICE = as_user("alice")
EXAMPLES = Path(__file__).parents[3] / "examples"
RSI, TREND, POSITION = (
    json.loads((EXAMPLES / f"graph_{name}.json").read_text())
    for name in ("rsi", "trend_score", "sma_position")
)
TEMPLATE = {**ASKED, "from": "2026-02-11T00:00:00Z"}
GRAPH = {name: value for name, value in TEMPLATE.items() if name != "strategyTemplate"} | {
    "nodeGraph": RSI,
    "strategyParams": {"rsi.timeperiod": 7},
}


@pytest.fixture(autouse=True)
def candles(store: PgStore, runner: SmallRunner) -> None:
    store.market.store(SERIES, some_candles())
    runner.now = FIRST + timedelta(days=DAYS)


def replayed(http: TestClient, asked: dict[str, Any]) -> Any:
    started = http.post("/api/backtests", json=asked, headers=ALICE)
    assert started.status_code == 202, started.text
    told = ended(http, started.json()["id"])
    assert told["backtest"]["job"]["state"] == "done", told
    return told


def round_trips(http: TestClient, told: Any) -> Any:
    return http.get(f"/api/backtests/{told['id']}/trades?limit=200", headers=ALICE).json()["trades"]


def test_a_graph_trades_as_the_template_of_the_same_rule(http: TestClient) -> None:
    ours, theirs = replayed(http, GRAPH), replayed(http, TEMPLATE)
    assert ours["backtest"]["template"] == "graph"
    assert ours["backtest"]["params"] == {"rsi.timeperiod": 7, "oversold.b": 30.0, "overbought.b": 70.0}
    trades = round_trips(http, ours)
    assert len(trades) > 1
    assert trades == round_trips(http, theirs)
    report = http.get(f"/api/backtests/{ours['id']}/report", headers=ALICE)
    assert "graph on BTCUSDT 5m" in report.text


@pytest.mark.parametrize("graph", [TREND, POSITION], ids=["further window", "position"])
def test_a_graph_that_looks_beside_its_candles_is_replayed(http: TestClient, graph: Any) -> None:
    told = replayed(http, {**GRAPH, "nodeGraph": graph, "strategyParams": {}})
    assert told["candles"] > 500
    assert round_trips(http, told)


def test_a_graph_goes_live_as_it_was_replayed(http: TestClient) -> None:
    id_ = replayed(http, GRAPH)["id"]
    made = http.post(f"/api/backtests/{id_}/go-live", json={}, headers=ALICE).json()
    assert (made["strategy"]["type"], made["strategy"]["params"]["rsi.timeperiod"]) == ("graph", 7)
    exported = http.get(f"/api/strategies/{made['id']}/graph", headers=ALICE).json()["nodeGraph"]
    assert next(node for node in exported["nodes"] if node["id"] == "rsi")["params"]["timeperiod"] == 7
    assert http.post(f"/api/runs/{made['runId']}/start", headers=ALICE).status_code == 200


def test_a_graph_that_is_wrong_is_refused_before_it_is_queued(http: TestClient) -> None:
    answer = http.post(
        "/api/backtests", json={**GRAPH, "nodeGraph": {"nodes": [], "edges": []}}, headers=ALICE
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_GRAPH")
    both = http.post("/api/backtests", json={**GRAPH, "code": "x"}, headers=ALICE)
    assert (both.status_code, both.json()["details"][0]["field"]) == (400, "code")
    assert http.get("/api/backtests", headers=ALICE).json()["backtests"] == []


def test_what_another_graph_would_have_done_is_told_and_not_saved(http: TestClient) -> None:
    body = {"symbol": "BTCUSDT", "timeframe": "5m", "nodeGraph": RSI, "initialCapitalUsdt": "1000"}
    made = http.post("/api/strategies", json=body, headers=ALICE).json()
    path = f"/api/strategies/{made['id']}"
    same = outcome(http, f"{path}/what-if", {"days": 1})
    assert (same["counts"], same["before"]) == ({"added": 0, "removed": 0, "resized": 0}, same["after"])
    nodes = [
        {**node, "params": {**node["params"], "timeperiod": 5}} if node["id"] == "rsi" else node
        for node in RSI["nodes"]
    ]
    for change in ({"nodeGraph": {**RSI, "nodes": nodes}}, {"params": {"rsi.timeperiod": 5}}):
        told = outcome(http, f"{path}/what-if", {"days": 1, **change})
        assert told["counts"]["added"] > 0
        assert told["after"]["trades"] > told["before"]["trades"]
    assert http.get(path, headers=ALICE).json()["params"]["rsi.timeperiod"] == 14
