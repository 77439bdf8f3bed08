"""`bin/runner data`: sentences and exit codes, one JSON document with --json, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bin.commands.main import main
from core.candles import CandleColumns
from core.market import Market, Series
from core.timeframe import Timeframe
from exchanges.feeds.archive import store_columns
from exchanges.feeds.files import FolderCandles
from tests.core.candle_cases import generated
from tests.exchanges.feeds.public_venue import running

MINUTES = generated(300)
BTC = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M1)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    holed = CandleColumns.joined([MINUTES.part(0, 100), MINUTES.part(110, 300)])
    return store_columns(holed, BTC, tmp_path / "recorded").path


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.csv"
    path.write_text("open_time,open,high,low,close,volume\n1,2\n")
    return path


def test_check_says_what_a_file_holds(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(clean)]) == 0
    said = capsys.readouterr()
    assert "290 1m candles, 2026-01-05 00:00 to 2026-01-05 05:00 UTC, 1 gaps, with taker volume." in said.out
    assert said.err == ""


def test_check_goes_on_after_a_bad_file_and_exits_1(
    clean: Path, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(broken), str(clean), str(broken.with_name("gone.csv"))]) == 1
    said = capsys.readouterr()
    assert "290 1m candles" in said.out
    assert said.err.splitlines() == [
        "broken.csv, line 2: it has 2 columns instead of 6.",
        "gone.csv: there is no such file.",
    ]


def test_check_with_json_is_one_document(
    clean: Path, broken: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["data", "check", "--json", str(clean), str(broken)]) == 1
    document = json.loads(capfdbinary.readouterr().out)
    assert document["bad"] == 1
    assert [outcome["ok"] for outcome in document["files"]] == [True, False]
    assert document["files"][0]["candles"] == 290


def test_import_stores_once(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "into"
    for verb in ("stored", "already there"):
        assert main(["data", "import", str(clean), "--into", str(folder)]) == 0
        assert verb in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == [clean.name]


def test_import_into_a_place_that_cannot_be_written_is_one_sentence(
    clean: Path, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "import", str(clean), "--into", str(broken / "below")]) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["data", "fetch", "BTCUSDT", "7m", "--from", "2026-01-01", "--to", "2026-01-02"], 1),
        (["data", "fetch", "not a symbol", "5m", "--from", "2026-01-01", "--to", "2026-01-02"], 1),
        (["data", "fetch", "BTCUSDT", "5m", "--from", "2026-01-02", "--to", "2026-01-01"], 1),
        (["data", "fetch", "BTCUSDT", "5m", "--from", "yesterday", "--to", "2026-01-01"], 1),
        (["data", "fetch", "BTCUSDT", "5m"], 2),
        (["data", "import", "x.csv", "--market", "moon"], 2),
    ],
)
def test_bad_input_is_a_sentence_and_a_code(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err


def test_fetch_stores_what_the_venue_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with running() as venue:
        monkeypatch.setenv("BINANCE_BASE_URL", venue.url)
        span = ["--from", "2026-01-05", "--to", "2026-01-06"]
        assert main(["data", "fetch", "btc/usdt", "5", *span, "--into", str(tmp_path), "--json"]) == 0
        assert main(["data", "fetch", "BTCUSDT", "5m", "--from", "2020-01-01", "--to", "2020-01-02"]) == 1
    said = capfdbinary.readouterr()
    document = json.loads(said.out)
    assert (document["symbol"], document["timeframe"], document["candles"]) == ("BTCUSDT", "5m", 288)
    assert b"Binance has no 5m candles of BTCUSDT in that range." in said.err
    assert FolderCandles(tmp_path).coverage("BTCUSDT", Timeframe.M5) is not None
