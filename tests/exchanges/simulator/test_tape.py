"""Candle tapes: what is read, what is refused, and how the price goes within a minute."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from exchanges.simulator.tape import MINUTE_MS, TapeError, WalkTape, read_tapes

D = Decimal
START = 1_750_000_020_000
ARCHIVE = f"{START},100,110,90,105,10,{START + 59_999},1000,7,4,400,0"
HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,x,ignore\n"


def write(folder: Path, text: str, name: str = "BTCUSDT-1m.csv", *, zipped: bool = False) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    return path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("header", ["", HEADER])
@pytest.mark.parametrize("row", [ARCHIVE, ARCHIVE.replace(str(START), f"{START}000")])
def test_every_form_of_the_archive_is_the_same_candle(
    tmp_path: Path, row: str, header: str, zipped: bool
) -> None:
    tape = read_tapes([write(tmp_path, header + row + "\n", zipped=zipped)])["BTCUSDT"]
    candle = tape.candle(START)
    assert (tape.first_ms, tape.last_ms) == (START, START)
    assert (candle.path, candle.volume, candle.taker_volume) == ((100, 90, 110, 105), 10, 4)


def test_a_falling_candle_goes_up_first_and_one_without_taker_volume_is_halved(tmp_path: Path) -> None:
    candle = read_tapes([write(tmp_path, f"{START},105,110,90,100,10\n")])["BTCUSDT"].candle(START)
    assert (candle.path, candle.taker_volume) == ((105, 110, 90, 100), 5)


def test_where_the_tape_has_no_candle_the_price_stands(tmp_path: Path) -> None:
    rows = f"{START},100,110,90,105,10\n{START + 60_000},105,106,104,106,1\n{START + 180_000},1,2,1,2,1\n"
    tape = read_tapes([write(tmp_path, rows)])["BTCUSDT"]
    assert tape.candle(START - MINUTE_MS).path == (100,) * 4
    assert (tape.candle(START + 120_000).path, tape.candle(START + 120_000).volume) == ((106,) * 4, 0)
    assert tape.candle(START + 900_000).path == (2,) * 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no candles"),
        ("a,b,c\n", "holds no candles"),
        (f"{START},1,2,1,2,1\nx,1,2,1,2,1\n", "line 2: not a candle"),
        (f"{START},1,2\n", "not a candle"),
        (f"{START},1,2,1,2,1\n{START},1,2,1,2,1\n", "two candles"),
        (f"{START},1,2,1,2,1\n{START + 1000},1,2,1,2,1\n", "within a minute"),
        (f"{START},1,2,1,2,1\n{START + 300_000},1,2,1,2,1\n", "one-minute"),
    ],
)
def test_what_is_no_tape_is_refused_in_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(TapeError, match=sentence):
        read_tapes([write(tmp_path, text)])


def test_files_of_a_symbol_are_one_tape_in_any_order(tmp_path: Path) -> None:
    later = write(tmp_path, f"{START + 60_000},2,2,2,2,1\n", "BTCUSDT-b.csv")
    earlier = write(tmp_path, f"{START},1,1,1,1,1\n", "BTCUSDT-a.csv")
    tape = read_tapes([later, earlier])["BTCUSDT"]
    assert (tape.first_ms, tape.candle(START).open, tape.candle(START + 60_000).open) == (START, 1, 2)


def test_a_walk_is_decided_by_its_seed_and_reaches_back_before_its_start() -> None:
    tapes = [
        WalkTape(seed=seed, symbol="BTCUSDT", start_ms=START, price=D(60000), tick=D("0.1"))
        for seed in (1, 1, 2)
    ]
    paths = [tape.candle(START).path for tape in tapes]
    assert paths[0] == paths[1] != paths[2]
    assert tapes[0].first_ms <= START - 24 * 60 * MINUTE_MS
    assert all(price % D("0.1") == 0 for price in paths[0])
    assert tapes[0].candle(START).close == tapes[0].candle(START + MINUTE_MS).open
