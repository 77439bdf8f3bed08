"""Strategies that are code over HTTP: tried, explained, kept, edited, backtested and put to work."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from core.definition import StrategyKind
from core.ids import RunId
from core.strategies.code import StrategyCode
from schema.pg import PgStore
from tests.facade.world import as_user

ALICE, BOB = as_user("alice"), as_user("bob")
SMA = """
LOOKBACK = 50
PARAMETERS = {"period": {"default": 20, "min": 2, "max": 50}}

def strategy(context):
    sma = context.candles.close[-context.parameters.period:].mean()
    return {"action": "buy" if context.price > sma else "sell", "indicators": {"sma": sma}}
"""
BROKEN = "def strategy(context):\n    return {'action': 'buy', 'score': 1 / 0}\n"


def validated(client: TestClient, code: str, **more: Any) -> Any:
    answer = client.post("/api/strategies/validate", json={"code": code, **more}, headers=ALICE)
    assert answer.status_code == 200, answer.text
    return answer.json()


def created(client: TestClient, code: str = SMA, **more: Any) -> Any:
    body = {"symbol": "BTCUSDT", "timeframe": "5m", "code": code, "name": "Mine", **more}
    return client.post("/api/strategies", json=body, headers=ALICE)


def test_code_is_tried_and_what_it_answers_told(client: TestClient) -> None:
    told = validated(client, SMA)
    assert told["ok"] is True
    assert told["signal"] in ("long", "short")
    assert list(told["indicators"]) == ["sma"]
    assert (told["lookback"], told["usesPosition"], told["errors"]) == (50, False, [])
    assert [each["name"] for each in told["parameters"]] == ["period"]


def test_the_further_windows_that_code_declares_are_told_by_name(client: TestClient) -> None:
    assert validated(client, SMA)["windows"] == []
    windows = """WINDOWS = {
        "hours": {"timeframe": "1h", "lookback": 40},
        "there": {"venue": "bybit", "market": "spot", "min_candles": 5},
    }"""
    told = validated(client, windows + SMA)
    assert told["ok"], told
    own = {"venue": None, "market": "perp", "symbol": "BTCUSDT", "timeframe": "5m", "lookback": 50}
    assert told["windows"] == [
        {**own, "name": "hours", "timeframe": "1h", "lookback": 40, "minCandles": 40},
        {**own, "name": "there", "venue": "bybit", "market": "spot", "minCandles": 5},
    ]


def test_what_is_wrong_is_told_with_line_and_message(client: TestClient) -> None:
    told = validated(client, BROKEN)
    assert (told["ok"], told["signal"]) == (False, None)
    [error] = told["errors"]
    assert (error["line"], error["message"], error["hint"]) == (
        2,
        "ZeroDivisionError: division by zero",
        None,
    )


def test_code_that_does_not_run_makes_nothing(client: TestClient) -> None:
    answer = created(client, BROKEN)
    assert (answer.status_code, answer.json()["code"]) == (422, "CODE_INVALID")
    assert "line 2: ZeroDivisionError" in answer.json()["error"]
    assert client.get("/api/strategies", headers=ALICE).json()["strategies"] == []


def test_code_makes_a_strategy_that_its_owner_can_read_and_deploy(client: TestClient, store: PgStore) -> None:
    made = created(client, strategyParams={"period": 7}, visibility="public")
    assert made.status_code == 201, made.text
    id_ = made.json()["id"]
    shown = client.get(f"/api/strategies/{id_}", headers=ALICE).json()
    assert (shown["type"], shown["template"], shown["code"]) == ("python", "python", SMA)
    assert shown["params"] == {"period": 7}
    assert client.get(f"/api/strategies/{id_}", headers=BOB).json()["code"] is None
    run = client.post(f"/api/strategies/{id_}/deploy", json={}, headers=BOB)
    assert run.status_code == 201, run.text
    kept = store.run(RunId(run.json()["runId"]))
    assert kept is not None
    assert kept.strategy.kind is StrategyKind.PYTHON
    assert StrategyCode.read(kept.strategy.source).lookback == 50


def test_typescript_is_kept_as_written_and_run_without_its_types(client: TestClient, store: PgStore) -> None:
    code = "function strategy(context: {price: number}) {\n  return {signal: 'hold' as const};\n}\n"
    made = created(client, code, type="typescript")
    assert made.status_code == 201, made.text
    id_ = made.json()["id"]
    shown = client.get(f"/api/strategies/{id_}", headers=ALICE).json()
    assert (shown["type"], shown["code"]) == ("typescript", code)
    run = client.post(f"/api/strategies/{id_}/deploy", json={}, headers=ALICE)
    kept = store.run(RunId(run.json()["runId"]))
    assert kept is not None
    compiled = StrategyCode.read(kept.strategy.source).compiled
    assert compiled is not None
    assert "number" not in compiled


@pytest.mark.parametrize(
    ("params", "named"), [({"period": 51}, "period"), ({"nope": 1}, "nope"), ({"period": "x"}, "period")]
)
def test_parameters_are_held_to_what_the_code_declares(
    client: TestClient, params: dict[str, Any], named: str
) -> None:
    answer = created(client, strategyParams=params)
    assert answer.status_code == 422
    assert named in answer.json()["error"]


def test_new_code_is_the_next_version_and_bad_code_changes_nothing(client: TestClient) -> None:
    id_ = created(client).json()["id"]
    path, headers = f"/api/strategies/{id_}/settings", {**ALICE, "If-Match": "1"}
    assert client.put(path, json={"code": BROKEN}, headers=headers).status_code == 422
    revised = client.put(path, json={"code": SMA + "# mended\n"}, headers=headers)
    assert revised.status_code == 200, revised.text
    assert (revised.json()["version"], revised.json()["code"]) == (2, SMA + "# mended\n")


def test_code_is_not_a_templates_to_have(client: TestClient) -> None:
    body = {"symbol": "BTCUSDT", "timeframe": "5m"}
    id_ = client.post("/api/strategies", json=body, headers=ALICE).json()["id"]
    answer = client.patch(f"/api/strategies/{id_}", json={"code": SMA}, headers=ALICE)
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "code")
    coded = created(client).json()["id"]
    answer = client.patch(f"/api/strategies/{coded}", json={"strategyTemplate": "macd"}, headers=ALICE)
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "strategyTemplate")


def test_a_new_strategy_of_code_is_deployed_in_one_go(client: TestClient) -> None:
    body = {"symbol": "BTCUSDT", "timeframe": "5m", "code": SMA, "autoStart": True}
    answer = client.post("/api/strategies/deploy", json=body, headers=ALICE)
    assert (answer.status_code, answer.json()["status"]) == (201, "active"), answer.text


def test_a_backtest_of_code_goes_live_as_that_code(client: TestClient) -> None:
    body = {"symbol": "BTCUSDT", "timeframe": "5m", "code": SMA, "strategyParams": {"period": 9}}
    job = client.post("/api/backtests", json=body, headers=ALICE)
    assert job.status_code in (201, 202), job.text
    assert job.json()["backtest"]["params"] == {"period": 9}
    assert client.post("/api/backtests", json={**body, "code": BROKEN}, headers=ALICE).status_code == 422
