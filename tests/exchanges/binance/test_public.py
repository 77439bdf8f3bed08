"""Every recorded answer and message of the public market data reads as what it says."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.candles import Candle
from core.errors import RunnerError
from core.public_trade import PublicTrade
from exchanges.binance import filters, market_stream, public, wire
from exchanges.binance.market_stream import market_news
from tests.exchanges.fixtures import entries

REST = entries("binance", "rest_market")
STREAM = entries("binance", "ws_market")
INFO = entries("binance", "exchange_info")


def body(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry["payload"]).encode()


def ms(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)


def klines(raw: bytes) -> list[Candle]:
    return list(public.kline_columns(msgspec.json.decode(raw, type=list[public.KlineRow])))


MARK = public.MarkPrice(
    symbol="BTCUSDT",
    price=Decimal("76916.95122464"),
    funding_rate=Decimal("0.00008972"),
    next_funding_at=ms(1789488000000),
    at=ms(1789478303000),
)
LIVE_TRADES = [
    PublicTrade(
        "BTCUSDT", 3450415493, 1789478330891, Decimal("76906.0"), Decimal("0.004"), taker_bought=True
    ),
    PublicTrade(
        "BTCUSDT", 3450415494, 1789478330948, Decimal("76905.9"), Decimal("0.003"), taker_bought=False
    ),
]
PEER_TRADE = PublicTrade("BTCUSDT", 5933014, 123456785, Decimal("0.001"), Decimal(100), taker_bought=False)
NEWS = {
    "kline_open_live": market_stream.KlineNews(
        symbol="BTCUSDT",
        interval="1m",
        closed=False,
        candle=Candle(
            open_time_ms=1790771340000, open=83896.4, high=83920.0, low=83860.1, close=83860.2, volume=114.602,
            taker_buy_volume=48.488,
        ),
    ),
    "kline_closed": market_stream.KlineNews(
        symbol="BTCUSDT",
        interval="1m",
        closed=True,
        candle=Candle(
            open_time_ms=1638747660000, open=0.001, high=0.0025, low=0.001, close=0.002, volume=1000.0,
            taker_buy_volume=500.0,
        ),
    ),
    "mark_price": public.MarkPrice(
        symbol="BTCUSDT",
        price=Decimal("11794.15"),
        funding_rate=Decimal("0.00038167"),
        next_funding_at=ms(1562306400000),
        at=ms(1562305380000),
    ),
    "book_ticker": public.Quote(symbol="BNBUSDT", bid=Decimal("25.3519"), ask=Decimal("25.3652")),
    "spot_agg_trade": PublicTrade(
        "ETHUSDT", 226532, 1675759520847, Decimal("1632.46"), Decimal("0.34305"), taker_bought=True
    ),
}  # fmt: skip


def test_recorded_klines_rest() -> None:
    rows = klines(body(REST["klines_1m_limit3"]))
    assert [row.open_time_ms for row in rows] == [1789478160000, 1789478220000, 1789478280000]
    assert rows[0] == Candle(
        open_time_ms=1789478160000, open=76936.2, high=76965.5, low=76936.1, close=76965.4, volume=20.68,
        taker_buy_volume=15.19,
    )  # fmt: skip
    assert [row.volume for row in klines(body(REST["klines_sample"]))] == [148976.11427815]
    assert klines(b"[]") == []


def test_recorded_answers_of_prices_trades_and_funding() -> None:
    assert wire.read(body(REST["server_time"]), wire.ServerTime).server_time == 1790770782215
    assert public.mark_prices(body(REST["premium_index_one"])) == [MARK]
    assert [one.price for one in public.mark_prices(body(REST["premium_index_all"]))] == [
        Decimal("11793.63104562")
    ]
    assert public.trades(body(REST["agg_trades"]), "BTCUSDT") == LIVE_TRADES
    assert public.last_price(body(REST["ticker_price_v2"])) == Decimal("76935.10")
    assert public.last_price(body(REST["ticker_24h"])) == Decimal("76914.90")
    quote = public.quote(body(REST["book_ticker"]))
    assert (quote.bid, quote.ask) == (Decimal("76914.90"), Decimal("76915.00"))
    rates = public.funding_rates(body(REST["funding_rate"]))
    assert [(one.at, one.rate) for one in rates] == [
        (ms(1789430400000), Decimal("0.00003563")),
        (ms(1789459200005), Decimal("0.00006188")),
    ]


@pytest.mark.parametrize("name", sorted(NEWS))
def test_a_recorded_message_is_news_of_one_kind(name: str) -> None:
    assert market_news(body(STREAM[name])) == NEWS[name]


def test_messages_read_alike_raw_and_wrapped() -> None:
    raw = STREAM["kline_combined"]["payload"]["data"]
    assert market_news(body(STREAM["kline_combined"])) == market_news(json.dumps(raw).encode())


@pytest.mark.parametrize("name", ["agg_trade_2026", "agg_trade_peer"])
def test_recorded_aggregated_trades(name: str) -> None:
    symbol = STREAM[name]["payload"]["s"]
    assert market_news(body(STREAM[name])) == msgspec.structs.replace(PEER_TRADE, symbol=symbol)


@pytest.mark.parametrize("name", ["subscribe_request", "subscribe_ack"])
def test_acknowledgements_are_no_news(name: str) -> None:
    assert market_news(body(STREAM[name])) is None


def test_a_candle_still_open_is_told_by_its_bytes() -> None:
    open_, closed = (
        json.dumps(STREAM[n]["payload"], separators=(",", ":")).encode()
        for n in ("kline_open_live", "kline_closed")
    )
    assert market_stream.still_open(open_)
    assert not market_stream.still_open(closed)


def test_recorded_instruments() -> None:
    live = filters.instruments(body(INFO["exchange_info_live_trimmed"]))
    assert sorted(live) == ["BTCUSDT", "XAUUSDT"]
    btc = live["BTCUSDT"]
    assert (btc.tick_size, btc.step_size, btc.min_notional) == (
        Decimal("0.10"),
        Decimal("0.001"),
        Decimal(50),
    )
    assert (btc.max_quantity, btc.max_market_quantity) == (Decimal(1000), Decimal(120))
    older = filters.instruments(body(INFO["exchange_info_peer"]))
    assert sorted(older) == ["BTCUSDT", "ETHUSDT"]
    assert older["ETHUSDT"].min_notional == Decimal(10)


@pytest.mark.parametrize("missing", ["PRICE_FILTER", "LOT_SIZE"])
def test_a_symbol_without_tick_or_step_is_refused(missing: str) -> None:
    payload = json.loads(body(INFO["exchange_info_live_trimmed"]))
    for symbol in payload["symbols"]:
        symbol["filters"] = [entry for entry in symbol["filters"] if entry["filterType"] != missing]
    with pytest.raises(RunnerError, match=missing):
        filters.instruments(json.dumps(payload).encode())


def test_recorded_leverage_tiers_are_read_as_list_and_as_object() -> None:
    account = entries("binance", "rest_account")
    tiers = filters.leverage_brackets(body(account["leverage_bracket"]))
    assert tiers == filters.leverage_brackets(body(account["leverage_bracket_one"]))
    (tier,) = tiers["ETHUSDT"]
    assert (tier.max_leverage, tier.up_to, tier.maintenance_rate) == (75, Decimal(10000), Decimal("0.0065"))


@given(
    entry=st.sampled_from([*REST.values(), *STREAM.values()]),
    at=st.integers(0, 2000),
    put=st.binary(max_size=4) | st.sampled_from([b"NaN", b"-", b"9" * 30, b"null", b'""', b"[", b"\xff"]),
    cut=st.integers(0, 6),
)
def test_mutated_bytes_raise_nothing_but_our_errors(
    entry: dict[str, Any], at: int, put: bytes, cut: int
) -> None:
    whole = body(entry)
    at %= len(whole)
    mutated = whole[:at] + put + whole[at + cut :]
    answers = (public.mark_prices, public.quote, public.last_price, public.funding_rates)
    for reader in (market_news, *answers, filters.instruments, filters.leverage_brackets):
        with contextlib.suppress(RunnerError):
            reader(mutated)
