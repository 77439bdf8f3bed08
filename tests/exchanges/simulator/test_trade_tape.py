"""Trade tapes: what is read, what is refused, and the candles and trades that come out."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from exchanges.simulator.instruments import instrument_of
from exchanges.simulator.market import Market
from exchanges.simulator.tape import TapeError
from exchanges.simulator.trade_tape import is_trade_file, read_trade_tapes

D = Decimal
START = 1_750_000_020_000
# id, price, quantity, time after START in ms, whether the taker bought
TRADES = [
    (7, "100", "1", 10, True),
    (8, "103", "2", 10, False),
    (9, "99", "3", 59_999, True),
    (12, "101", "4", 130_000, False),
]


def agg(stamp: int = 1) -> str:
    rows = [f"{i},{p},{q},{i},{i},{(START + t) * stamp},{not b}" for i, p, q, t, b in TRADES]
    return "\n".join(rows) + "\n"


def single() -> str:
    rows = [f"{i},{p},{q},1,{START + t},{str(not b).lower()}" for i, p, q, t, b in TRADES]
    return "\n".join(rows) + "\n"


def named() -> str:
    rows = [f"{i},{p},{q},{START + t},{str(not b).lower()},9" for i, p, q, t, b in TRADES]
    return "id,price,qty,time,is_buyer_maker,event_time\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize("text", [agg(), agg(1000), single(), named()])
@pytest.mark.parametrize("zipped", [False, True])
def test_every_form_of_the_archive_is_the_same_tape(tmp_path: Path, text: str, zipped: bool) -> None:
    path = tmp_path / "BTCUSDT-aggTrades-2025.csv"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    assert is_trade_file(path)
    tape = read_trade_tapes([path], {"BTCUSDT": D("0.1")})["BTCUSDT"]
    assert (tape.first_ms, tape.last_ms) == (START, START + 120_000)
    candle = tape.candle(START)
    assert (candle.open, candle.high, candle.low, candle.close) == (100, 103, 99, 99)
    assert (candle.volume, candle.taker_volume, candle.trades) == (6, 4, 3)
    assert (tape.candle(START + 60_000).path, tape.candle(START + 60_000).volume) == ((99,) * 4, 0)
    told = tape.between(START, START + 200_000)
    assert [(t.trade_id, t.at_ms - START, t.is_taker_buy) for t in told] == [
        (i, t, b) for i, _, _, t, b in TRADES
    ]


def test_a_market_tells_real_trades_by_time_and_id_and_none_before_they_happened(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades.csv"
    path.write_text(named())
    tapes = read_trade_tapes([path], {"BTCUSDT": D("0.1")})
    market = Market({"BTCUSDT": instrument_of("BTCUSDT")}, {**tapes}, tapes)
    assert [t.trade_id for t in market.public_trades("BTCUSDT", START + 11, START + 60_000)] == [9]
    assert [t.trade_id for t in market.public_trades_from("BTCUSDT", 8, 2, START + 200_000)] == [8, 9]
    assert [t.trade_id for t in market.public_trades_from("BTCUSDT", 8, 9, START + 50_000)] == [8]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no agg_trade_id"),
        ("id,price,qty\n", "names no transact_time"),
        (named().splitlines()[0] + "\n", "holds no trades"),
        ("1,2,3,4,x,false\n", "line 1: not a trade"),
        (single() + single(), "comes before"),
    ],
)
def test_what_is_no_trade_tape_is_refused_in_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "BTCUSDT-trades.csv"
    path.write_text(text)
    with pytest.raises(TapeError, match=sentence):
        read_trade_tapes([path], {"BTCUSDT": D("0.1")})
