"""`strategy`: begun, checked, tried and searched from a file, whatever kind it is of."""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bin.commands.main import main
from bin.commands.optimize import NothingFound, space_of
from bin.commands.optimize_search import search
from core.market import Market, Series
from core.parameters import ParameterError, Parameters, ParameterSpec
from core.strategies import template
from core.strategies.graph.strategy import graph_strategy
from core.timeframe import Timeframe
from core.walk_forward import Range, Scored
from exchanges.feeds.archive import store_columns
from exchanges.feeds.generator import GeneratedMarket

RSI = "rsi_oversold_overbought"
SPAN = ("--from", "2026-03-01", "--to", "2026-03-15")
SEARCH = ("--timeframe", "15m", "--trials", "10", "--folds", "2", "--no-gates", "--range", "rsi_period=5:40")
RANDOM = "import random\ndef strategy(context):\n    return 'long' if random.random() < 0.5 else 'hold'\n"


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RUNNER_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def strategy(*arguments: object) -> int:
    return main(["strategy", *(str(argument) for argument in arguments)])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    shown = capsys.readouterr()
    assert shown.err == ""
    document: dict[str, Any] = json.loads(shown.out)
    return document


@pytest.mark.parametrize(
    ("kind", "file"),
    [("python", "mine.py"), ("typescript", "mine.ts"), ("template", "mine.json"), ("graph", "mine.json")],
)
def test_what_is_begun_passes_the_check_as_it_is_and_trades(
    kind: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert strategy("new", "mine", "--kind", kind) == 0
    capsys.readouterr()
    assert strategy("check", file, "--json") == 0
    found = told(capsys)
    assert (found["ok"], found["kind"], found["errors"]) == (True, kind, [])
    assert found["answers"].get("long", 0) > 0


def test_what_is_begun_decides_alike_in_either_language(capsys: pytest.CaptureFixture[str]) -> None:
    answers = []
    for language, file in (("python", "mine.py"), ("typescript", "mine.ts")):
        assert strategy("new", "mine", "--language", language) == 0
        capsys.readouterr()
        assert strategy("check", file, "--json") == 0
        answers.append(told(capsys)["answers"])
    assert answers[0] == answers[1]


def test_the_test_that_new_writes_passes(tmp_path: Path) -> None:
    assert strategy("new", "mine") == 0
    spec = importlib.util.spec_from_file_location("begun", tmp_path / "test_mine.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert len(tests) == 3
    for each in tests:
        each()
    sys.modules.pop("mine", None)


def test_new_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_mine.py").write_text("kept")
    assert strategy("new", "mine") == 1
    assert "test_mine.py is there already" in capsys.readouterr().err
    assert not (tmp_path / "mine.py").exists()
    assert (tmp_path / "test_mine.py").read_text() == "kept"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("x.py", "def strategy(context):\n    return context.price +\n", "line 2: SyntaxError"),
        ("x.py", "import os\n", "line 1: Module os is not in the allowed list"),
        ("x.py", "def strategy(context):\n    return {'action': 'up'}\n", "line 2: "),
        ("x.py", RANDOM, "answers differently for the same candles"),
        ("x.json", '{"strategyTemplate": "rsi_oversold"}', "There is no template 'rsi_oversold'"),
        ("x.json", '{"symbol": "BTCUSDT"}', "needs one of strategyTemplate, nodeGraph, code"),
        ("x.json", '{"strategyTemplate": "macd", "code": "x"}', "needs one of"),
        ("x.json", '{"strategyTemplate": "sma_trend", "period": 3}', "unknown field `period`"),
        (
            "x.json",
            '{"strategyTemplate": "sma_trend", "strategyParams": {"period": 0}}',
            "period must lie in",
        ),
        ("x.js", "function strategy(context) { return {signal: context.nothing.here}; }", "line 1: "),
        ("x.json", '{"nodes": [{"id": "a", "type": "magic"}], "edges": []}', "a"),
        ("x.json", "{", "truncated"),
        ("x.txt", "", "neither .py, .ts, .js nor .json"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_where_it_stands(
    file: str, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / file).write_text(text)
    assert strategy("check", file) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert "Traceback" not in shown.err


def test_the_further_windows_of_code_are_told_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    windows = {"hours": {"timeframe": "1h", "lookback": 40}, "there": {"venue": "bybit", "market": "spot"}}
    code = f"LOOKBACK = 30\nWINDOWS = {windows}\ndef strategy(context):\n    return 'hold'\n"
    (tmp_path / "x.py").write_text(code)
    assert strategy("check", "x.py", "--symbol", "BTCUSDT", "--timeframe", "5m", "--json") == 0
    own = {"venue": None, "market": "perp", "symbol": "BTCUSDT", "timeframe": "5m", "lookback": 30}
    assert told(capsys)["windows"] == [
        {**own, "name": "hours", "timeframe": "1h", "lookback": 40, "minCandles": 30},
        {**own, "name": "there", "venue": "bybit", "market": "spot", "minCandles": 30},
    ]
    assert strategy("check", "x.py", "--symbol", "BTCUSDT", "--timeframe", "5m") == 0
    shown = capsys.readouterr().out.splitlines()
    assert "  beside it hours: 40 of perp BTCUSDT 1h" in shown
    assert "  beside it there: 30 of spot BTCUSDT 5m of bybit" in shown


def test_trades_are_heard_first_for_what_is_looked_at_beside_the_own_candles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As validate and the pages say: its own candles are there from the start."""
    windows = {"spot": {"market": "spot", "lookback": 60}}
    code = f"LOOKBACK = 300\nWINDOWS = {windows}\ndef strategy(context):\n    return 'hold'\n"
    (tmp_path / "x.py").write_text(code)
    assert strategy("check", "x.py", "--symbol", "BTCUSDT", "--timeframe", "5m", "--json") == 0
    assert told(capsys)["heardFirstHours"] == {"bybit": 5.0}


def test_a_strategy_whose_signals_come_from_outside_passes_and_cannot_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text('{"type": "external", "symbol": "ETHUSDT", "timeframe": "5m"}')
    assert strategy("check", "x.json") == 0
    assert "its signals come from outside" in capsys.readouterr().out
    assert strategy("check", "x.json", "--param", "period=3") == 1
    assert "period" in capsys.readouterr().err
    assert strategy("backtest", "x.json") == 1
    assert "come from outside, not from candles" in capsys.readouterr().err


def test_a_backtest_of_a_file_takes_its_settings_and_options_overrule_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text(
        '{"strategyTemplate": "sma_trend", "strategyParams": {"period": 7}, "symbol": "ETHUSDT",'
        ' "timeframe": "4h", "direction": "long", "stopLossPct": "2", "tradingMode": "paper"}'
    )
    assert strategy("backtest", "x.json", *SPAN, "--timeframe", "1h", "--json") == 0
    replayed = told(capsys)["replayed"]
    assert (replayed["symbol"], replayed["timeframe"], replayed["direction"]) == ("ETHUSDT", "1h", "long")
    assert (replayed["parameters"], replayed["stopLossPct"]) == ({"period": 7}, "2")


def test_a_search_finds_the_same_again_and_says_what_it_did_not_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for _ in range(2):
        assert strategy("optimize", RSI, *SPAN, *SEARCH, "--by", "pnl", "--report", tmp_path, "--json") == 0
        document = told(capsys)
        document.pop("seconds")
        found.append(document)
    assert found[0] == found[1]
    folds = found[0]["folds"]
    assert [fold["to"] for fold in folds] == [folds[1]["split"], found[0]["replayed"]["to"]]
    for fold in folds:
        assert 5 <= fold["parameters"]["rsi_period"] <= 40
    scores = [row["score"] for row in found[0]["tried"] if row["score"] is not None]
    assert folds[1]["inSample"]["score"] == max(scores)
    assert found[0]["tried"][0]["parameters"] == found[0]["best"] == folds[1]["parameters"]
    assert found[0]["warnings"][0]["code"] == "many_tried"
    page = (tmp_path / "report.html").read_text()
    assert "In sample and out of sample" in page
    assert "Over-fitting" in page
    assert page.count("<svg") == 1 + 3
    assert (tmp_path / "settings.csv").read_text().startswith("rsi_period,")


def test_the_figures_of_a_fold_are_those_of_backtests_of_its_two_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = datetime(2026, 2, 1, tzinfo=UTC)
    candles = GeneratedMarket(3).candles("BTCUSDT", Timeframe.M15, start, start + timedelta(days=24))
    series = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M15)
    file = ("--candles", str(store_columns(candles, series, tmp_path).path))
    assert strategy("optimize", RSI, *file, "--from", "2026-02-10", *SEARCH, "--by", "pnl", "--json") == 0
    for fold in told(capsys)["folds"]:
        given = [
            part for name, value in fold["parameters"].items() for part in ("--param", f"{name}={value}")
        ]
        asked = ("--template", RSI, "--symbol", "BTCUSDT", "--timeframe", "15m", "--no-gates", *file, *given)
        for first, last, part in (("from", "split", "inSample"), ("split", "to", "outOfSample")):
            assert main(["backtest", *asked, "--from", fold[first], "--to", fold[last], "--json"]) == 0
            replayed = told(capsys)["summary"]
            assert (replayed["pnl"], replayed["trades"]) == (fold[part]["pnl"], fold[part]["trades"])


def test_a_search_asks_for_no_setting_twice_and_tries_the_given_one_first() -> None:
    asked: list[Parameters] = []

    def evaluate(settings: Any) -> list[Scored | None]:
        asked.extend(settings)
        return [Scored(parameters=each, score=-abs(each["x"] - 3.0), trades=1) for each in settings]

    space = {"x": Range(low=1, high=9, whole=True)}
    found = search(space, trials=64, seed=4, first={"x": 7}, evaluate=evaluate)
    assert asked[0] == {"x": 7}
    assert len(asked) == len({each["x"] for each in asked})
    assert found.best is not None
    assert found.best.parameters == {"x": 3}


def test_settings_that_contradict_themselves_are_left_out_and_counted() -> None:
    def evaluate(settings: Any) -> list[Scored | None]:
        return [Scored(parameters=each, score=1.0, trades=1) if each["x"] > 5 else None for each in settings]

    space = {"x": Range(low=1, high=9, whole=True)}
    found = search(space, trials=64, seed=4, first={"x": 7}, evaluate=evaluate)
    assert found.left_out > 0
    assert all(each.parameters["x"] > 5 for each in found.tried)


def test_what_is_searched_are_the_declared_bounds_or_narrower_ones() -> None:
    specs = template("sma_trend").specs
    assert space_of(specs, {}, ["period = 5 : 50"]) == {"period": Range(low=5, high=50, whole=True)}
    wrong = ["period=0:50", "period=50:5", "period=a:b", "other=1:2", "period=5"]
    for text in wrong:
        with pytest.raises(ParameterError):
            space_of(specs, {}, [text])
    with pytest.raises(NothingFound):
        space_of(specs, {"period": 5}, [])
    unbounded = (ParameterSpec(name="x", default=1, minimum=-1e12, maximum=1e12, meaning=""),)
    with pytest.raises(NothingFound, match="--range"):
        space_of(unbounded, {}, [])
    assert space_of(unbounded, {}, ["x=1:9"]) == {"x": Range(low=1, high=9, whole=True)}
    usual = (replace(unbounded[0], usual=(2, 40)), replace(unbounded[0], name="k", usual=(1, 1)))
    assert space_of(usual, {}, []) == {"x": Range(low=2, high=40, whole=True)}
    assert space_of(usual, {}, ["x=1:900"]) == {"x": Range(low=1, high=900, whole=True)}


def test_the_numbers_of_a_graph_are_searched_where_they_make_sense() -> None:
    graph = graph_strategy((Path(__file__).parents[2] / "examples" / "graph_rsi.json").read_text())
    assert space_of(graph.specs, {}, []) == {
        "rsi.timeperiod": Range(low=2, high=140, whole=True),
        "oversold.b": Range(low=0, high=100, whole=False),
        "overbought.b": Range(low=0, high=100, whole=False),
    }
