"""Conversion over HTTP: a model of this machine answers, the real sandbox judges, and nothing is kept by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from bin.commands.main import main
from facade.limits import CONVERSIONS_PER_WINDOW
from tests.facade.test_code import SMA
from tests.facade.world import SmallRunner, as_user, client_of, make_settings
from tests.model_endpoint import ModelEndpoint, model_endpoint

ALICE, BOB = as_user("alice"), as_user("bob")
KEY = "sk-of-the-operator"
PINE = "//@version=5\nstrategy('SMA')\nif close > ta.sma(close, 20)\n    strategy.entry('L', strategy.long)"
SOUND = f"It follows the average.\n```python{SMA}```\n"
BROKEN = "It divides.\n```python\ndef strategy(context):\n    return {'action': 'buy', 'score': 1 / 0}\n```"


@pytest.fixture
def endpoint() -> Iterator[ModelEndpoint]:
    with model_endpoint() as opened:
        yield opened


@pytest.fixture
def converting(runner: SmallRunner, endpoint: ModelEndpoint) -> Iterator[TestClient]:
    settings = make_settings(CONVERTER_URL=endpoint.url, CONVERTER_MODEL="some-model", CONVERTER_API_KEY=KEY)
    with client_of(runner, settings=settings) as opened:
        yield opened


def test_source_becomes_a_strategy_by_one_repair_and_keeps_where_it_came_from(
    converting: TestClient, endpoint: ModelEndpoint
) -> None:
    endpoint.answers = [BROKEN, SOUND]
    answer = converting.post("/api/convert", json={"source": PINE, "language": "Pine"}, headers=ALICE)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["ok"], told["rounds"], told["explanation"]) == (True, 2, "It follows the average.")
    assert told["validation"]["signal"] in ("long", "short")
    assert "line 2: ZeroDivisionError" in endpoint.asked[1]["messages"][3]["content"]
    assert converting.get("/api/strategies", headers=ALICE).json()["strategies"] == []
    origin = {"source": PINE, "language": "Pine", "explanation": told["explanation"]}
    body = {"symbol": "BTCUSDT", "timeframe": "5m", "code": told["code"], "convertedFrom": origin}
    made = converting.post("/api/strategies", json=body, headers=ALICE)
    assert made.status_code == 201, made.text
    shown = converting.get(f"/api/strategies/{made.json()['id']}", headers=ALICE).json()
    assert (shown["code"], shown["convertedFrom"]) == (told["code"], origin)


def test_a_version_keeps_what_it_was_converted_from_and_code_of_ones_own_has_no_origin(
    client: TestClient,
) -> None:
    def origin(source: str) -> dict[str, str]:
        return {"source": source, "language": "Pine", "explanation": "As it says."}

    def shown() -> object:
        return client.get(path, headers=ALICE).json()["convertedFrom"]

    body = {"symbol": "BTCUSDT", "timeframe": "5m", "code": SMA, "convertedFrom": origin("first")}
    made = client.post("/api/strategies/deploy", json=body, headers=ALICE)
    assert made.status_code == 201, made.text
    path = f"/api/strategies/{made.json()['strategyId']}"
    assert shown() == origin("first")
    assert client.patch(path, json={"timeframe": "15m"}, headers=ALICE).status_code == 200
    assert shown() == origin("first")
    again = {"code": SMA + "\n", "convertedFrom": origin("second")}
    assert client.patch(path, json=again, headers=ALICE).json()["version"] == 3
    assert shown() == origin("second")
    put = {"code": SMA, "convertedFrom": origin("third")}
    answer = client.put(f"{path}/settings", json=put, headers={**ALICE, "If-Match": '"3"'})
    assert answer.json()["convertedFrom"] == origin("third")
    refused = client.patch(path, json={"convertedFrom": origin("alone")}, headers=ALICE)
    assert (refused.status_code, refused.json()["details"][0]["field"]) == (400, "convertedFrom")
    client.patch(path, json={"code": SMA + "\n\n"}, headers=ALICE)
    assert shown() is None


def test_code_that_never_runs_is_told_with_its_errors_and_cannot_be_kept(
    converting: TestClient, endpoint: ModelEndpoint
) -> None:
    endpoint.answers = [BROKEN, BROKEN]
    told = converting.post("/api/convert", json={"source": PINE}, headers=ALICE).json()
    assert (told["ok"], told["rounds"]) == (False, 2)
    assert told["validation"]["errors"][0]["line"] == 2
    body = {"symbol": "BTCUSDT", "timeframe": "5m", "code": told["code"], "convertedFrom": {"source": PINE}}
    assert converting.post("/api/strategies", json=body, headers=ALICE).json()["code"] == "CODE_INVALID"
    assert converting.get("/api/strategies", headers=ALICE).json()["strategies"] == []


def test_an_endpoint_that_fails_is_told_without_its_key(
    converting: TestClient, endpoint: ModelEndpoint
) -> None:
    endpoint.answers = [401]
    answer = converting.post("/api/convert", json={"source": PINE}, headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (503, "CONVERTER_UNAVAILABLE")
    assert KEY not in answer.text


def test_a_user_may_convert_so_often_a_minute_and_others_are_not_kept_waiting(
    converting: TestClient, endpoint: ModelEndpoint
) -> None:
    endpoint.answers = [500] * (CONVERSIONS_PER_WINDOW + 1)
    for _ in range(CONVERSIONS_PER_WINDOW):
        assert converting.post("/api/convert", json={"source": PINE}, headers=ALICE).status_code == 503
    refused = converting.post("/api/convert", json={"source": PINE}, headers=ALICE)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert converting.post("/api/convert", json={"source": PINE}, headers=BOB).status_code == 503


@pytest.mark.parametrize(
    "more", [{"strategyTemplate": "sma_trend"}, {"code": SMA, "convertedFrom": {"source": "x" * 60_001}}]
)
def test_an_origin_is_codes_and_has_a_bound(client: TestClient, more: dict[str, object]) -> None:
    body = {"symbol": "BTCUSDT", "timeframe": "5m", "convertedFrom": {"source": PINE}, **more}
    answer = client.post("/api/strategies", json=body, headers=ALICE)
    assert answer.status_code == 400
    assert "convertedFrom" in answer.text


def test_the_command_writes_only_code_that_runs(
    endpoint: ModelEndpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"URL": endpoint.url, "MODEL": "m", "API_KEY": KEY}.items():
        monkeypatch.setenv(f"CONVERTER_{name}", value)
    monkeypatch.chdir(tmp_path)
    Path("old.pine").write_text(PINE)
    endpoint.answers = [BROKEN, BROKEN, SOUND]
    assert main(["strategy", "convert", "old.pine", "--into", "new.py"]) == 1
    assert "line 2: ZeroDivisionError" in capsys.readouterr().out
    assert not Path("new.py").exists()
    assert main(["strategy", "convert", "old.pine", "--into", "new.py"]) == 0
    assert Path("new.py").read_text() == SMA.removeprefix("\n")
    assert main(["strategy", "convert", "old.pine", "--into", "new.py"]) == 1
    assert "there already" in capsys.readouterr().err
