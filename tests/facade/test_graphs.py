"""Node graphs over HTTP: made into strategies, refused with every problem located, revised, exported, deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.ids import AccountId
from schema.pg import PgStore
from tests.facade.world import as_user

ALICE, BOB = as_user("alice"), as_user("bob")
EXAMPLES = Path(__file__).parents[2] / "examples"
RSI = json.loads((EXAMPLES / "graph_rsi.json").read_text())
TREND = json.loads((EXAMPLES / "graph_trend_score.json").read_text())
POSITION = json.loads((EXAMPLES / "graph_sma_position.json").read_text())
BODY = {"symbol": "BTCUSDT", "timeframe": "5m", "name": "Mine"}


def made(client: TestClient, graph: Any = RSI, **more: Any) -> dict[str, Any]:
    answer = client.post("/api/strategies", json={**BODY, "nodeGraph": graph, **more}, headers=ALICE)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


@pytest.mark.parametrize("name", ["nodeGraph", "node_graph"])
def test_a_graph_makes_a_strategy_whose_parameters_are_its_numbers(client: TestClient, name: str) -> None:
    answer = client.post("/api/strategies", json={**BODY, name: RSI}, headers=ALICE)
    strategy = answer.json()["strategy"]
    assert (strategy["type"], strategy["template"]) == ("graph", "graph")
    assert strategy["params"] == {"rsi.timeperiod": 14, "oversold.b": 30.0, "overbought.b": 70.0}


@pytest.mark.parametrize("graph", [RSI, TREND], ids=["rsi", "trend"])
def test_what_is_exported_makes_the_same_strategy_again(client: TestClient, graph: Any) -> None:
    first = made(client, graph)
    exported = client.get(f"/api/strategies/{first['id']}/graph", headers=ALICE).json()["nodeGraph"]
    again = made(client, exported)
    assert client.get(f"/api/strategies/{again['id']}/graph", headers=ALICE).json()["nodeGraph"] == exported
    assert again["strategy"]["params"] == first["strategy"]["params"]


def test_parameters_that_are_given_go_into_the_graph(client: TestClient) -> None:
    created = made(client, strategyParams={"rsi.timeperiod": 7})
    assert created["strategy"]["params"]["rsi.timeperiod"] == 7
    nodes = client.get(f"/api/strategies/{created['id']}/graph", headers=ALICE).json()["nodeGraph"]["nodes"]
    assert next(node for node in nodes if node["id"] == "rsi")["params"]["timeperiod"] == 7


def test_every_problem_of_a_graph_is_told_with_its_place(client: TestClient) -> None:
    nodes = [{**node, "params": {**node.get("params", {}), "op": "~"}} for node in RSI["nodes"][2:4]]
    graph = {"nodes": [*RSI["nodes"][:2], *nodes], "edges": [{"source": "gone", "target": "rsi"}]}
    answer = client.post("/api/strategies", json={**BODY, "nodeGraph": graph}, headers=ALICE)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (400, "BAD_GRAPH")
    assert [(each["field"], each.get("id")) for each in told["details"]] == [
        ("nodeGraph.oversold.params.op", "oversold"),
        ("nodeGraph.overbought.params.op", "overbought"),
        ("nodeGraph.edges[0].source", None),
        ("nodeGraph", None),
        ("nodeGraph.rsi.real", "rsi"),
    ]
    assert all(each["message"] for each in told["details"])


@pytest.mark.parametrize(
    "graph", [{}, {"nodes": 3}, {"nodes": [[]] * 200}, {"nodes": [{"id": "x" * 999, "type": {}}]}, {"x": []}]
)
def test_what_is_no_graph_is_refused_and_nothing_is_made(client: TestClient, graph: Any) -> None:
    answer = client.post("/api/strategies", json={**BODY, "nodeGraph": graph}, headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_GRAPH")
    assert client.get("/api/strategies", headers=ALICE).json()["strategies"] == []


@pytest.mark.parametrize("graph", [RSI, TREND, POSITION], ids=["rsi", "trend", "position"])
def test_a_graph_is_tried_on_sample_candles_and_not_kept(client: TestClient, graph: Any) -> None:
    told = client.post("/api/strategies/validate", json={"nodeGraph": graph}, headers=ALICE).json()
    assert told["ok"], told
    assert (told["errors"], told["evaluations"], told["usesPosition"]) == ([], 12, graph is POSITION)
    assert told["signal"] in ("long", "short", "hold", "exit_long")
    assert told["indicators"]
    assert told["lookback"] > 1
    assert all(each["default"] is not None for each in told["parameters"])
    assert client.get("/api/strategies", headers=ALICE).json()["strategies"] == []


def test_the_further_windows_of_a_graph_are_told(client: TestClient) -> None:
    market = {"id": "market", "type": "data_source", "params": {"venue": "bybit", "timeframe": "1h"}}
    body = {"nodeGraph": {**RSI, "nodes": [market, *RSI["nodes"][1:]]}, "symbol": "ETHUSDT"}
    told = client.post("/api/strategies/validate", json=body, headers=ALICE).json()
    assert told["ok"], told
    [window] = told["windows"]
    named = ("name", "venue", "market", "symbol", "timeframe")
    assert [window[each] for each in named] == [None, "bybit", "perp", "ETHUSDT", "1h"]
    assert window["lookback"] >= window["minCandles"] > 14
    body = {"nodeGraph": RSI}
    assert client.post("/api/strategies/validate", json=body, headers=ALICE).json()["windows"] == []


def test_what_is_wrong_with_a_graph_is_told_by_its_place_when_it_is_tried(client: TestClient) -> None:
    nodes = [*RSI["nodes"][:2], {"id": "oversold", "type": "compare"}, *RSI["nodes"][3:]]
    body = {"nodeGraph": {**RSI, "nodes": nodes}}
    told = client.post("/api/strategies/validate", json=body, headers=ALICE).json()
    assert (told["ok"], told["signal"], told["parameters"]) == (False, None, None)
    assert told["errors"] == [
        {"line": None, "message": "is missing", "hint": None, "node": "oversold", "port": None, "field": "op"}
    ]
    failing = [
        *RSI["nodes"][:1],
        {"id": "rsi", "type": "math", "params": {"op": "/", "b": 0}},
        *RSI["nodes"][2:],
    ]
    edges = [{**RSI["edges"][0], "sourcePort": "close"}, *RSI["edges"][1:]]
    body = {"nodeGraph": {"nodes": failing, "edges": edges}}
    [error] = client.post("/api/strategies/validate", json=body, headers=ALICE).json()["errors"]
    assert (error["node"], error["message"]) == (
        "rsi",
        "Node rsi gives no finite number at value for this slot.",
    )
    body = {"nodeGraph": RSI, "params": {"rsi.timeperiod": 1}}
    [error] = client.post("/api/strategies/validate", json=body, headers=ALICE).json()["errors"]
    assert "RSI does not take timeperiod 1" in error["message"]


@pytest.mark.parametrize("body", [{}, {"nodeGraph": RSI, "code": "x"}])
def test_one_thing_is_tried_at_a_time(client: TestClient, body: Any) -> None:
    answer = client.post("/api/strategies/validate", json=body, headers=ALICE)
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "code")


def test_a_revision_with_another_graph_is_the_next_version(client: TestClient) -> None:
    created = made(client, strategyParams={"rsi.timeperiod": 7})
    path = f"/api/strategies/{created['id']}"
    revised = client.patch(path, json={"strategyParams": {"oversold.b": 25}}, headers=ALICE).json()
    assert (revised["version"], revised["params"]["rsi.timeperiod"], revised["params"]["oversold.b"]) == (
        2,
        7,
        25,
    )
    put = {"nodeGraph": RSI}
    replaced = client.put(f"{path}/settings", json=put, headers={**ALICE, "If-Match": '"2"'})
    assert replaced.json()["params"] == {"rsi.timeperiod": 14, "oversold.b": 30.0, "overbought.b": 70.0}


def test_a_strategy_keeps_its_kind(client: TestClient) -> None:
    graph, plain = made(client), client.post("/api/strategies", json=BODY, headers=ALICE).json()
    for id_, body, field in (
        (graph["id"], {"strategyTemplate": "macd"}, "strategyTemplate"),
        (plain["id"], {"nodeGraph": RSI}, "nodeGraph"),
    ):
        answer = client.patch(f"/api/strategies/{id_}", json=body, headers=ALICE)
        assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, field)
    answer = client.get(f"/api/strategies/{plain['id']}/graph", headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (409, "NO_GRAPH")


def test_a_graph_is_its_owners_to_export_also_where_others_may_run_it(client: TestClient) -> None:
    """I12."""
    created = made(client, visibility="public")
    answer = client.get(f"/api/strategies/{created['id']}/graph", headers=BOB)
    assert answer.status_code == 404
    assert "nodeGraph" not in client.get(f"/api/strategies/{created['id']}", headers=BOB).text


def test_a_deployed_graph_begins_with_its_own_bankroll(client: TestClient, store: PgStore) -> None:
    for more, bankroll in (({}, 5000), ({"paperBankrollUsd": 700}, 700)):
        body = {**BODY, "nodeGraph": TREND, **more}
        answer = client.post("/api/strategies/deploy", json=body, headers=ALICE)
        assert answer.status_code == 201, answer.text
        account = store.account(AccountId(answer.json()["run"]["accountId"]))
        assert account is not None
        assert account.balance == bankroll
