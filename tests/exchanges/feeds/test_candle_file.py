"""Candle files in every form the archive has had; anything unclean is one sentence with its line."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest

from core.candles import CandleColumns
from core.timeframe import Timeframe
from exchanges.feeds.candle_file import CandleFileError, file_name, read_candle_file
from tests.core.candle_cases import generated

HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)
CANDLES = generated(50)


def rows(columns: CandleColumns = CANDLES, *, width: int = 12, scale: int = 1) -> list[str]:
    """Archive lines; `scale` 1000 writes microseconds."""
    lines = []
    for candle in columns:
        at, last = candle.open_time_ms * scale, (candle.open_time_ms + 60_000) * scale - 1
        prices = [repr(value) for value in candle.row()[1:6]]
        cells = [str(at), *prices, str(last), "0", "1", repr(candle.taker_buy_volume), "0", "0"]
        lines.append(",".join(cells[:width]))
    return lines


def written(folder: Path, lines: list[str], name: str = "candles.csv", ending: str = "\n") -> Path:
    path = folder / name
    text = (ending.join(lines) + ending).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


@pytest.mark.parametrize("name", ["candles.csv", "candles.csv.gz"])
@pytest.mark.parametrize("scale", [1, 1000], ids=["ms", "us"])
@pytest.mark.parametrize("header", [True, False], ids=["header", "headerless"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_every_form_of_the_archive_reads_as_the_same_candles(
    tmp_path: Path, name: str, scale: int, header: bool, ending: str
) -> None:
    lines = [HEADER] * header + rows(scale=scale)
    read = read_candle_file(written(tmp_path, lines, name, ending))
    assert read.timeframe is Timeframe.M1
    assert read.has_taker_volume
    assert np.array_equal(read.columns.data, CANDLES.data)


@pytest.mark.parametrize("width", [6, 7])
@pytest.mark.parametrize("header", [True, False])
def test_ohlcv_files_have_no_taker_volume(tmp_path: Path, width: int, header: bool) -> None:
    lines = [",".join(HEADER.split(",")[:width])] * header + rows(width=width)
    read = read_candle_file(written(tmp_path, lines))
    assert not read.has_taker_volume
    assert np.array_equal(read.columns.data[:6], CANDLES.data[:6])
    assert np.isnan(read.columns.taker_buy_volume).all()


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    lines = ["volume,timestamp,close,low,high,open"]
    for candle in CANDLES:
        at, opened, high, low, close, volume, _ = candle.row()
        lines.append(f"{volume},{at},{close},{low},{high},{opened}")
    assert np.array_equal(read_candle_file(written(tmp_path, lines)).columns.data[:6], CANDLES.data[:6])


def test_gaps_between_candles_are_kept_and_the_last_line_needs_no_end(tmp_path: Path) -> None:
    lines = rows()
    path = tmp_path / "candles.csv"
    path.write_text("\n".join([*lines[:10], *lines[20:]]))
    assert len(read_candle_file(path).columns) == 40


def spoiled(line: int, column: int, value: str) -> list[str]:
    """A file with header whose `line` (1 is the header) has another value in `column`."""
    lines = [HEADER, *rows()]
    cells = lines[line - 1].split(",")
    cells[column] = value
    lines[line - 1] = ",".join(cells)
    return lines


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "holds no candles|lacks"),
        ([HEADER], "holds no candles"),
        (["hello,world"], "line 1: the header lacks open_time, open"),
        (["1,2,3"], "line 1: a file without header has 6, 7 or 12 columns, not 3"),
        (spoiled(7, 4, "abc"), "line 7: close is 'abc', not a number"),
        (spoiled(7, 4, ""), "line 7: close is '', not a number"),
        (spoiled(7, 4, "nan"), "line 7: no candle can have"),
        (spoiled(7, 4, "inf"), "line 7: no candle can have"),
        (spoiled(7, 2, "1"), "line 7: no candle can have"),
        (spoiled(7, 5, "-1"), "line 7: no candle can have"),
        (spoiled(7, 9, "1e9"), "line 7: no candle can have"),
        (spoiled(7, 0, rows()[3].split(",")[0]), "line 7: its open_time is not after the one before"),
        (spoiled(7, 6, "1"), "line 7: close_time is not the end of a 1m candle"),
        ([HEADER, *rows()[:5], "1,2,3", *rows()[6:]], "line 7: it has 3 columns instead of 12"),
        ([HEADER, *rows()[:5], "", *rows()[5:]], "line 7: it is empty"),
        ([HEADER, *rows()[:5], *rows()[4:]], "line 7: its open_time is not after the one before"),
        ([HEADER, *rows()[5:], *rows()[:5]], "line 47: its open_time is not after the one before"),
        ([HEADER, "<html>"], "line 2: it has 1 columns instead of 12"),
    ],
)
def test_an_unclean_file_is_one_sentence_naming_file_and_line(
    tmp_path: Path, lines: list[str], sentence: str
) -> None:
    with pytest.raises(CandleFileError, match=sentence) as refused:
        read_candle_file(written(tmp_path, lines))
    assert str(refused.value).startswith("candles.csv")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_broken_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CandleFileError, match="no such file"):
        read_candle_file(tmp_path / "nothing.csv")
    with pytest.raises(CandleFileError, match="cannot be read"):
        read_candle_file(tmp_path)
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress("\n".join(rows()).encode())[:-20])
    with pytest.raises(CandleFileError, match="cannot be read"):
        read_candle_file(cut)
    garbage = tmp_path / "garbage.csv"
    garbage.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(CandleFileError):
        read_candle_file(garbage)


@pytest.mark.parametrize("seconds", [1, 7 * 60, 8 * 3600])
def test_an_interval_the_service_does_not_know_is_refused(tmp_path: Path, seconds: int) -> None:
    lines = [f"{1_700_006_400_000 + step * seconds * 1000},1,1,1,1,1" for step in range(5)]
    with pytest.raises(CandleFileError, match="of no timeframe"):
        read_candle_file(written(tmp_path, lines))


def test_one_candle_tells_its_timeframe_by_its_close_time(tmp_path: Path) -> None:
    assert read_candle_file(written(tmp_path, rows()[:1])).timeframe is Timeframe.M1
    with pytest.raises(CandleFileError, match="does not tell its timeframe"):
        read_candle_file(written(tmp_path, rows(width=6)[:1]))


def test_the_name_of_a_file_tells_what_is_in_it(tmp_path: Path) -> None:
    full, plain = (read_candle_file(written(tmp_path, rows(width=width))) for width in (12, 7))
    name = file_name(venue="binance", market="perp", symbol="BTCUSDT", candles=full)
    assert name == "binance-perp-BTCUSDT-1m-20260105-20260105.csv.gz"
    assert file_name(venue="x", market="spot", symbol="Y", candles=plain).endswith("-ohlcv.csv.gz")


def test_a_hundred_thousand_rows_are_read_in_a_fraction_of_a_second(tmp_path: Path) -> None:
    """A million rows take about two seconds on an idle core; the bound leaves room for a busy machine."""
    line = rows()[0].split(",", 1)[1].split(",")
    first = int(CANDLES.open_time[0])
    lines = [
        ",".join([str(first + step * 60_000), *line[:5], str(first + step * 60_000 + 59_999), *line[6:]])
        for step in range(100_000)
    ]
    path = written(tmp_path, lines)
    began = time.perf_counter()
    assert len(read_candle_file(path).columns) == 100_000
    assert time.perf_counter() - began < 2.0
