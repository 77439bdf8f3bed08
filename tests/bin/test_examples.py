"""Every example is a strategy that the service would keep, and one that trades over generated candles."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bin.commands.main import main
from bin.strategy_file import CODE, read_strategy
from core.definition import StrategyKind
from core.timeframe import Timeframe

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXAMPLES = sorted(path for path in FOLDER.iterdir() if path.suffix in (*CODE, ".json"))
START = datetime(2026, 2, 1, tzinfo=UTC)
CANDLES = 1_000


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_trades_in_a_backtest(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNNER_CONFIG", raising=False)
    end = START + Timeframe.parse(read_strategy(path).timeframe).delta * CANDLES
    span = ("--from", f"{START:%Y-%m-%dT%H:%M}", "--to", f"{end:%Y-%m-%dT%H:%M}")
    assert (
        main(["strategy", "backtest", str(path), *span, "--direction", "both", "--no-gates", "--json"]) == 0
    )
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["candles"] == CANDLES
    assert told["signals"]
    assert told["trades"] or told["openPosition"]
    assert {row["status"] for row in told["ticks"]} <= {"ok", "skipped"}


def test_there_are_ten_examples_and_one_of_every_kind() -> None:
    kinds = [read_strategy(path).kind for path in EXAMPLES]
    assert len(kinds) >= 10
    for kind in (StrategyKind.TEMPLATE, StrategyKind.PYTHON, StrategyKind.TYPESCRIPT, StrategyKind.GRAPH):
        assert kind in kinds
