"""A folder of recorded candles: what is found by name, which market stands for a symbol, what is refused."""

from __future__ import annotations

import gzip
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from core.candles import CandleColumns, aggregate
from core.market import Market, Series
from core.timeframe import Timeframe
from exchanges.feeds.archive import import_file, store_columns
from exchanges.feeds.base import Coverage, NoCandles, Stretch
from exchanges.feeds.candle_file import CandleFileError
from exchanges.feeds.files import FolderCandles, file_source, named_series
from tests.core.candle_cases import START, generated

MINUTES = generated(3 * 1440)
HOUR = timedelta(hours=1)


def series(
    symbol: str = "BTCUSDT", market: Market = Market.PERP, timeframe: Timeframe = Timeframe.M1
) -> Series:
    return Series(venue="binance", market=market, symbol=symbol, timeframe=timeframe)


def store(folder: Path, columns: CandleColumns = MINUTES, key: Series | None = None) -> Path:
    return store_columns(columns, key or series(), folder).path


def test_files_are_found_recursively_by_name(tmp_path: Path) -> None:
    store(tmp_path / "deep" / "er")
    (tmp_path / "binance-perp-BTCUSDT-trades-20230405.csv.gz").write_bytes(b"not candles")
    (tmp_path / "README.csv").write_text("notes")
    source = FolderCandles(tmp_path)
    assert source.symbols() == ("BTCUSDT",)
    assert source.origin == "recorded Binance candles"
    assert source.coverage("BTCUSDT", Timeframe.M1) == Coverage(
        candles=3 * 1440, stretches=(Stretch(start=START, end=START + timedelta(days=3)),)
    )
    assert source.coverage("ETHUSDT", Timeframe.M1) is None


def test_a_range_holds_the_candles_that_open_and_close_inside_it(tmp_path: Path) -> None:
    store(tmp_path)
    source = FolderCandles(tmp_path)
    hour = source.candles("BTCUSDT", Timeframe.M1, START + HOUR, START + 2 * HOUR)
    assert np.array_equal(hour.data, MINUTES.part(60, 120).data)
    cut = source.candles("BTCUSDT", Timeframe.M1, START, START + timedelta(seconds=90))
    assert len(cut) == 1
    assert len(source.candles("BTCUSDT", Timeframe.M1, START - HOUR, START)) == 0


def test_several_files_of_a_series_are_one_range(tmp_path: Path) -> None:
    store(tmp_path, MINUTES.part(1440, 2880))
    store(tmp_path, MINUTES.part(0, 1440))
    whole = FolderCandles(tmp_path).candles("BTCUSDT", Timeframe.M1, START, START + timedelta(days=9))
    assert np.array_equal(whole.data, MINUTES.part(0, 2880).data)


def test_larger_candles_are_built_from_whole_smaller_ones(tmp_path: Path) -> None:
    holed = CandleColumns.joined([MINUTES.part(0, 63), MINUTES.part(64, 300)])
    store(tmp_path, holed)
    source = FolderCandles(tmp_path)
    coverage = source.coverage("BTCUSDT", Timeframe.M10)
    assert coverage is not None
    assert coverage.candles == 29
    assert [stretch.start for stretch in coverage.stretches] == [START, START + timedelta(minutes=70)]
    built = source.candles("BTCUSDT", Timeframe.M10, START, START + HOUR)
    assert np.array_equal(built.data, aggregate(MINUTES.part(0, 60), Timeframe.M1, Timeframe.M10).data)


def test_smaller_candles_cannot_be_made(tmp_path: Path) -> None:
    store(tmp_path, aggregate(MINUTES, Timeframe.M1, Timeframe.M5), series(timeframe=Timeframe.M5))
    with pytest.raises(NoCandles, match=r"no 1m candles of BTCUSDT.*\(5m\)"):
        FolderCandles(tmp_path).candles("BTCUSDT", Timeframe.M1, START, START + HOUR)


def test_the_perpetual_stands_before_spot(tmp_path: Path) -> None:
    store(tmp_path, MINUTES.part(0, 100), series(market=Market.SPOT))
    store(tmp_path, MINUTES.part(0, 50))
    store(tmp_path, MINUTES.part(0, 70), series("ETHUSDT", Market.SPOT))
    source = FolderCandles(tmp_path)
    assert (source.market("BTCUSDT"), source.market("ETHUSDT")) == (Market.PERP, Market.SPOT)
    assert len(source.candles("BTCUSDT", Timeframe.M1, START, START + 9 * HOUR)) == 50


def test_candles_held_twice_are_refused_naming_both_files(tmp_path: Path) -> None:
    first = store(tmp_path, MINUTES.part(0, 1440))
    again = tmp_path / "copy" / "binance-perp-BTCUSDT-1m-20260105-20260106.csv.gz"
    again.parent.mkdir()
    again.write_bytes(first.read_bytes())
    with pytest.raises(CandleFileError, match=r"already holds the candle of 2026-01-05 00:00 UTC"):
        FolderCandles(tmp_path).candles("BTCUSDT", Timeframe.M1, START, START + HOUR)


def test_a_file_whose_name_says_another_timeframe_is_refused(tmp_path: Path) -> None:
    stored = store(tmp_path)
    stored.rename(tmp_path / "binance-perp-BTCUSDT-5m-20260105-20260107.csv.gz")
    with pytest.raises(CandleFileError, match="no boundary of 5m"):
        FolderCandles(tmp_path).market("BTCUSDT")


def test_a_folder_without_candles_says_what_it_looks_for(tmp_path: Path) -> None:
    with pytest.raises(NoCandles, match="bin/runner data import"):
        FolderCandles(tmp_path)
    with pytest.raises(NoCandles, match="no folder"):
        FolderCandles(tmp_path / "nowhere")


def test_an_unknown_symbol_is_refused_with_those_there_are(tmp_path: Path) -> None:
    store(tmp_path)
    with pytest.raises(NoCandles, match="there are BTCUSDT"):
        FolderCandles(tmp_path).candles("ETHUSDT", Timeframe.M1, START, START + HOUR)


def test_funding_is_read_beside_the_candles(tmp_path: Path) -> None:
    store(tmp_path)
    name = "binance-perp-BTCUSDT-funding-8h-20260105-20260105.csv"
    at = int(START.timestamp() * 1000)
    (tmp_path / name).write_text(f"funding_time,symbol,funding_rate\n{at + 6},BTCUSDT,0.0001\n")
    rates = FolderCandles(tmp_path).funding("BTCUSDT")
    assert [(rate.at, rate.rate) for rate in rates] == [
        (START + timedelta(milliseconds=6), Decimal("0.0001"))
    ]
    assert FolderCandles(tmp_path).funding("ETHUSDT") == ()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("time,rate\n", "line 1: the header lacks"),
        ("funding_time,funding_rate\n1,x\n", "line 2: it is no time and rate"),
        ("funding_time,funding_rate\n1\n", "line 2: it is no time and rate"),
        ("funding_time,funding_rate\n1,NaN\n", "line 2: a funding rate cannot be NaN"),
        ("funding_time,funding_rate\n1,1.5\n", "line 2: a funding rate cannot be 1.5"),
        ("funding_time,funding_rate\n2,0\n1,0\n", "line 3: its time is not after"),
    ],
)
def test_an_unclean_funding_file_is_refused_by_line(tmp_path: Path, body: str, sentence: str) -> None:
    store(tmp_path)
    (tmp_path / "binance-perp-BTCUSDT-funding-8h-20260105-20260105.csv").write_text(body)
    with pytest.raises(CandleFileError, match=sentence):
        FolderCandles(tmp_path).funding("BTCUSDT")


def test_named_files_are_a_source_too(tmp_path: Path) -> None:
    stored = store(tmp_path)
    source = file_source([stored], symbol="BTCUSDT")
    assert stored.name in source.origin
    assert np.array_equal(
        source.candles("BTCUSDT", Timeframe.M1, START, START + HOUR).data, MINUTES.part(0, 60).data
    )


def test_importing_copies_a_clean_file_under_the_name_it_is_found_by(tmp_path: Path) -> None:
    text = gzip.decompress(store(tmp_path / "a").read_bytes())
    archived = tmp_path / "BTCUSDT-1m-2026-01.csv"
    archived.write_bytes(text)
    imported = import_file(archived, tmp_path / "b")
    assert imported.added
    assert named_series(imported.path) == imported.series == series()
    assert gzip.decompress(imported.path.read_bytes()) == text
    assert not import_file(archived, tmp_path / "b").added
    assert FolderCandles(tmp_path / "b").symbols() == ("BTCUSDT",)


def test_importing_candles_the_folder_has_is_refused(tmp_path: Path) -> None:
    store(tmp_path / "b", MINUTES.part(0, 2000))
    overlapping = store(tmp_path / "a", MINUTES.part(1000, 3000))
    with pytest.raises(CandleFileError, match="already holds"):
        import_file(overlapping, tmp_path / "b")
    assert len(list((tmp_path / "b").iterdir())) == 1


def test_importing_a_file_that_names_no_symbol_asks_for_it(tmp_path: Path) -> None:
    unnamed = store(tmp_path / "a").rename(tmp_path / "mine.csv.gz")
    with pytest.raises(CandleFileError, match="--symbol"):
        import_file(unnamed, tmp_path / "b")
    imported = import_file(unnamed, tmp_path / "b", symbol="eth/usdt", market=Market.SPOT, venue="bybit")
    assert imported.series == Series(
        venue="bybit", market=Market.SPOT, symbol="ETHUSDT", timeframe=Timeframe.M1
    )


@pytest.mark.requires_recorded_data
def test_the_recorded_folder_is_a_source(recorded_data: Path) -> None:
    source = FolderCandles(recorded_data)
    assert "BTCUSDT" in source.symbols()
    assert source.market("BTCUSDT") is Market.PERP
    for timeframe in (Timeframe.M1, Timeframe.M5, Timeframe.M10, Timeframe.D1):
        assert source.coverage("BTCUSDT", timeframe) is not None
    assert source.funding("BTCUSDT")
    assert FolderCandles(recorded_data, "bybit").symbols() == ("BTCUSDT", "ETHUSDT")
