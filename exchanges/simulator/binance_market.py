"""Market data of the Binance face, read off the tape: nothing in it needs a key, and nothing lies in the future."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchanges.simulator.binance_call import Call
from exchanges.simulator.binance_codes import VenueError
from exchanges.simulator.binance_routes import Route, Routes, Security, public
from exchanges.simulator.binance_words import money, plain
from exchanges.simulator.engine import Engine
from exchanges.simulator.instruments import Instrument
from exchanges.simulator.limits import Limits
from exchanges.simulator.market import FUNDING_MS, Bar, PublicTrade
from exchanges.simulator.tape import MINUTE_MS

INTERVALS = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480,
    "12h": 720, "1d": 1440,
}  # fmt: skip
_HOUR_MS = 3600 * 1000
_TRADES_KEPT_MS = 48 * _HOUR_MS
_DAY_MS = 24 * _HOUR_MS
_DEPTH = Decimal(5)
_ENDLESS = 1_000_000  # what is said of a limit that was switched off
_OTHER_PRICES = {"BNBUSDT": "600.00"}


def routes(engine: Engine, limits: Limits) -> Routes:
    market = BinanceMarket(engine, limits)
    klines = Route(handler=market.klines, weight=_klines_weight)
    mark_klines = Route(handler=market.mark_klines, weight=_klines_weight)
    return {
        ("GET", "/fapi/v1/ping"): public(lambda call: {}),
        ("GET", "/fapi/v1/time"): public(market.time),
        ("GET", "/fapi/v1/exchangeInfo"): public(market.exchange_info),
        ("GET", "/fapi/v1/klines"): klines,
        ("GET", "/fapi/v1/markPriceKlines"): mark_klines,
        ("GET", "/fapi/v1/premiumIndex"): public(market.premium_index),
        ("GET", "/fapi/v1/aggTrades"): public(market.agg_trades, 20),
        ("GET", "/api/v3/aggTrades"): public(market.spot_agg_trades, 4),
        ("GET", "/api/v3/klines"): public(market.klines, 2),
        ("GET", "/api/v3/time"): public(market.time),
        ("GET", "/fapi/v1/trades"): public(market.recent_trades, 5),
        ("GET", "/fapi/v1/fundingRate"): public(market.funding_rates),
        ("GET", "/fapi/v1/fundingInfo"): public(lambda call: [], 0),
        ("GET", "/fapi/v1/ticker/price"): public(market.ticker_price),
        ("GET", "/fapi/v2/ticker/price"): public(market.ticker_price),
        ("GET", "/fapi/v1/ticker/bookTicker"): public(market.book_ticker, 2),
        ("GET", "/fapi/v1/ticker/24hr"): public(market.ticker_24h),
        ("GET", "/fapi/v1/depth"): public(market.depth, 5),
        ("GET", "/fapi/v1/historicalTrades"): Route(
            handler=market.recent_trades, security=Security.KEY, weight=lambda call: 20
        ),
    }


class BinanceMarket:
    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._market = engine.market
        self._limits = limits

    def time(self, call: Call) -> dict[str, int]:
        return {"serverTime": self._engine.clock.now_ms()}

    def exchange_info(self, call: Call) -> dict[str, Any]:
        """Always the whole list, whatever symbol is asked for."""
        ceilings = self._limits.ceilings
        rows = (
            ("REQUEST_WEIGHT", "MINUTE", 1, ceilings.weight),
            ("ORDERS", "MINUTE", 1, ceilings.orders_1m),
            ("ORDERS", "SECOND", 10, ceilings.orders_10s),
        )
        return {
            "timezone": "UTC",
            "serverTime": self._engine.now_ms,
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {
                    "rateLimitType": kind,
                    "interval": interval,
                    "intervalNum": number,
                    "limit": limit or _ENDLESS,
                }
                for kind, interval, number, limit in rows
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [_symbol_json(instrument) for instrument in self._market.instruments.values()],
        }

    def klines(self, call: Call) -> list[list[Any]]:
        """Ascending; the last row is the open candle unless an earlier end was asked for."""
        symbol, now = self._symbol(call), self._engine.now_ms
        word = call.text("interval")
        if word not in INTERVALS:
            raise VenueError(-1120, "Invalid interval.")
        span, limit = INTERVALS[word] * MINUTE_MS, call.limit(500, 1500)
        since, until = call.number("startTime"), call.number("endTime")
        if since is not None and until is not None and until < since:
            raise VenueError(-1023, "Start time is greater than end time.")
        until = now if until is None else min(until, now)
        if since is None:
            since = until // span * span - (limit - 1) * span
        until = min(until, -(-since // span) * span + (limit - 1) * span)
        return [kline_row(bar) for bar in self._market.bars(symbol, span, since, until, now)]

    def mark_klines(self, call: Call) -> list[list[Any]]:
        return [[*row[:5], "0", row[6], "0", row[8], "0", "0", "0"] for row in self.klines(call)]

    def premium_index(self, call: Call) -> Any:
        if "symbol" in call.params:
            return self._premium(self._symbol(call))
        return [self._premium(symbol) for symbol in self._market.instruments]

    def agg_trades(self, call: Call) -> list[dict[str, Any]]:
        """By a first id, or by a window of an hour at most; of the last 48 hours."""
        symbol, now, limit = self._symbol(call), self._engine.now_ms, call.limit(500, 1000)
        since, until, first = call.number("startTime"), call.number("endTime"), call.number("fromId")
        until = now if until is None else min(until, now)
        oldest = now - _TRADES_KEPT_MS
        if first is not None:
            found = self._market.public_trades_from(symbol, first, limit, now)
            return [agg_trade_json(trade) for trade in found if trade.at_ms >= oldest]
        if since is None:
            since = until - _HOUR_MS
        elif until - since > _HOUR_MS:
            if "endTime" in call.params:
                raise VenueError(-1127, "Lookup interval is too big.")
            until = since + _HOUR_MS
        found = self._market.public_trades(symbol, max(since, oldest), until)
        has_start = "startTime" in call.params
        return [agg_trade_json(trade) for trade in (found[:limit] if has_start else found[-limit:])]

    def spot_agg_trades(self, call: Call) -> list[dict[str, Any]]:
        """The same trades on spot, in its words."""
        return [spot_words(words) for words in self.agg_trades(call)]

    def recent_trades(self, call: Call) -> list[dict[str, Any]]:
        symbol, now, limit = self._symbol(call), self._engine.now_ms, call.limit(500, 1000)
        found = self._market.public_trades(symbol, now - limit * 15_000, now)[-limit:]
        return [
            {
                "id": trade.trade_id,
                "price": plain(trade.price),
                "qty": plain(trade.quantity),
                "quoteQty": plain(trade.price * trade.quantity),
                "time": trade.at_ms,
                "isBuyerMaker": not trade.is_taker_buy,
            }
            for trade in found
        ]

    def funding_rates(self, call: Call) -> list[dict[str, Any]]:
        now = self._engine.now_ms
        symbols = [self._symbol(call)] if "symbol" in call.params else list(self._market.instruments)
        limit = call.limit(100, 1000)
        since, until = call.number("startTime"), call.number("endTime")
        until = now if until is None else min(until, now)
        if since is None:
            since = until - limit * FUNDING_MS
        times = list(range(-(-since // FUNDING_MS) * FUNDING_MS, until + 1, FUNDING_MS))
        times = times[:limit] if "startTime" in call.params else times[-limit:]
        return [
            {
                "symbol": symbol,
                "fundingTime": at,
                "fundingRate": money(self._market.funding_rate(symbol, at)),
                "markPrice": money(self._market.price(symbol, at)),
                "rateType": "Regular",
            }
            for at in times
            for symbol in symbols
        ]

    def ticker_price(self, call: Call) -> Any:
        symbol = call.params.get("symbol")
        if symbol in _OTHER_PRICES and symbol not in self._market.instruments:
            return {"symbol": symbol, "price": _OTHER_PRICES[symbol], "time": self._engine.now_ms}
        symbols = [self._symbol(call)] if symbol is not None else list(self._market.instruments)
        found = [
            {"symbol": s, "price": plain(self._engine.last[s]), "time": self._engine.now_ms} for s in symbols
        ]
        return found if symbol is None else found[0]

    def book_ticker(self, call: Call) -> Any:
        symbols = [self._symbol(call)] if "symbol" in call.params else list(self._market.instruments)
        found = [self._book(symbol) for symbol in symbols]
        return found[0] if "symbol" in call.params else found

    def ticker_24h(self, call: Call) -> Any:
        symbols = [self._symbol(call)] if "symbol" in call.params else list(self._market.instruments)
        found = [self._day(symbol) for symbol in symbols]
        return found[0] if "symbol" in call.params else found

    def depth(self, call: Call) -> dict[str, Any]:
        """One level a side: the tape knows no book."""
        symbol, now = self._symbol(call), self._engine.now_ms
        book = self._book(symbol)
        return {
            "lastUpdateId": now,
            "E": now,
            "T": now,
            "bids": [[book["bidPrice"], book["bidQty"]]],
            "asks": [[book["askPrice"], book["askQty"]]],
        }

    # -- inside

    def _premium(self, symbol: str) -> dict[str, Any]:
        now, mark = self._engine.now_ms, self._engine.marks[symbol]
        return {
            "symbol": symbol,
            "markPrice": money(mark),
            "indexPrice": money(self._engine.last[symbol]),
            "estimatedSettlePrice": money(mark),
            "lastFundingRate": money(self._market.funding_rate(symbol, now)),
            "interestRate": "0.00010000",
            "nextFundingTime": (now // FUNDING_MS + 1) * FUNDING_MS,
            "time": now,
        }

    def _book(self, symbol: str) -> dict[str, Any]:
        last, tick = self._engine.last[symbol], self._market.instruments[symbol].tick
        return {
            "symbol": symbol,
            "bidPrice": plain(last - tick),
            "bidQty": plain(_DEPTH),
            "askPrice": plain(last),
            "askQty": plain(_DEPTH),
            "time": self._engine.now_ms,
            "lastUpdateId": self._engine.now_ms,
        }

    def _day(self, symbol: str) -> dict[str, Any]:
        now, last = self._engine.now_ms, self._engine.last[symbol]
        hours = self._market.bars(symbol, _HOUR_MS, now - _DAY_MS, now, now)
        # A tape may have begun within this hour.
        bars = hours or self._market.bars(symbol, MINUTE_MS, now - _HOUR_MS, now, now)
        opened, volume = bars[0].open, sum((bar.volume for bar in bars), Decimal(0))
        change = last - opened
        return {
            "symbol": symbol,
            "priceChange": plain(change),
            "priceChangePercent": f"{change / opened * 100:.3f}",
            "weightedAvgPrice": plain(last),
            "lastPrice": plain(last),
            "lastQty": "0.001",
            "openPrice": plain(opened),
            "highPrice": plain(max(bar.high for bar in bars)),
            "lowPrice": plain(min(bar.low for bar in bars)),
            "volume": plain(volume),
            "quoteVolume": f"{sum((bar.quote_volume for bar in bars), Decimal(0)):.2f}",
            "openTime": bars[0].open_ms,
            "closeTime": now,
            "firstId": 1,
            "lastId": sum(bar.trades for bar in bars),
            "count": sum(bar.trades for bar in bars),
        }

    def _symbol(self, call: Call) -> str:
        symbol = call.text("symbol")
        if symbol not in self._market.instruments:
            raise VenueError(-1121, "Invalid symbol.")
        return symbol


def kline_row(bar: Bar) -> list[Any]:
    return [
        bar.open_ms,
        plain(bar.open),
        plain(bar.high),
        plain(bar.low),
        plain(bar.close),
        plain(bar.volume),
        bar.close_ms,
        f"{bar.quote_volume:.5f}",
        bar.trades,
        plain(bar.taker_volume),
        f"{bar.taker_quote_volume:.5f}",
        "0",
    ]


def agg_trade_json(trade: PublicTrade) -> dict[str, Any]:
    quantity = plain(trade.quantity)
    return {
        "a": trade.trade_id,
        "p": plain(trade.price),
        "q": quantity,
        "nq": quantity,
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": trade.at_ms,
        "m": not trade.is_taker_buy,
    }


def spot_words(words: dict[str, Any]) -> dict[str, Any]:
    """An aggregated trade as the spot market tells it."""
    return {name: word for name, word in words.items() if name not in ("nq", "st")} | {"M": True}


def _klines_weight(call: Call) -> int:
    try:
        limit = call.limit(500, 1500)
    except VenueError:
        return 1
    return next(weight for most, weight in ((99, 1), (499, 2), (1000, 5), (1500, 10)) if limit <= most)


def _symbol_json(instrument: Instrument) -> dict[str, Any]:
    step = plain(instrument.step)
    least = plain(instrument.quantity_min)
    return {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1567965300000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 4,
        "quantityPrecision": 3,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"],
        "triggerProtect": "0.0500",
        "liquidationFee": plain(instrument.liquidation_fee),
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {
                "minPrice": plain(instrument.price_min),
                "tickSize": plain(instrument.tick),
                "filterType": "PRICE_FILTER",
                "maxPrice": plain(instrument.price_max),
            },
            {
                "minQty": least,
                "filterType": "LOT_SIZE",
                "stepSize": step,
                "maxQty": plain(instrument.quantity_max),
            },
            {
                "stepSize": step,
                "maxQty": plain(instrument.market_quantity_max),
                "filterType": "MARKET_LOT_SIZE",
                "minQty": least,
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"notional": plain(instrument.notional_min), "filterType": "MIN_NOTIONAL"},
            {
                "multiplierDown": f"{1 - instrument.band:.4f}",
                "multiplierDecimal": "4",
                "filterType": "PERCENT_PRICE",
                "multiplierUp": f"{1 + instrument.band:.4f}",
            },
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": [
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY", "DCA", "PSB"],
    }
