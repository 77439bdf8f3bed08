"""Public market data of the Bybit face: time, candles, instruments, prices, trades, funding, leverage tiers."""

from __future__ import annotations

from typing import Any

from exchanges.simulator.bybit_call import Call
from exchanges.simulator.bybit_codes import SYMBOL, VenueError, wrong
from exchanges.simulator.bybit_routes import Routes, public
from exchanges.simulator.bybit_words import CATEGORY, cursor, cursor_number, money, text
from exchanges.simulator.engine import Engine
from exchanges.simulator.instruments import Instrument
from exchanges.simulator.market import FUNDING_MS, Bar, PublicTrade
from exchanges.simulator.model import ZERO
from exchanges.simulator.tape import MINUTE_MS, QUARTER_MS

INTERVALS = {
    "1": 1, "3": 3, "5": 5, "15": 15, "30": 30, "60": 60, "120": 120, "240": 240, "360": 360, "720": 720,
    "D": 1440,
}  # fmt: skip
CATEGORIES = (CATEGORY, "spot", "inverse", "option")
_TRADED = (CATEGORY, "spot")
_HOUR_MS = 60 * MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_FUNDING_CAP = "0.00375"


def routes(engine: Engine) -> Routes:
    market = BybitMarket(engine)
    return {
        ("GET", "/v5/market/time"): public(market.time),
        ("GET", "/v5/market/kline"): public(market.klines),
        ("GET", "/v5/market/mark-price-kline"): public(market.mark_klines),
        ("GET", "/v5/market/instruments-info"): public(market.instruments),
        ("GET", "/v5/market/tickers"): public(market.tickers),
        ("GET", "/v5/market/recent-trade"): public(market.recent_trades),
        ("GET", "/v5/market/funding/history"): public(market.funding_history),
        ("GET", "/v5/market/risk-limit"): public(market.risk_limits),
    }


class BybitMarket:
    """Linear contracts, and the same symbols on spot for what traders look at there; other categories are empty."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def time(self, call: Call) -> dict[str, Any]:
        now = self._engine.now_ms
        return {"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)}

    def klines(self, call: Call) -> dict[str, Any]:
        return self._listed(call, [_kline(bar) for bar in self._bars(call)])

    def mark_klines(self, call: Call) -> dict[str, Any]:
        """Mark is last plus a constant here, so the candles are the same without volume."""
        return self._listed(call, [_kline(bar)[:5] for bar in self._bars(call)])

    def instruments(self, call: Call) -> dict[str, Any]:
        """By symbol, 500 a page unless asked for up to 1000."""
        category = _category(call)
        found = self._engine.market.instruments if category in _TRADED else {}
        names = sorted(found)
        symbol, status = call.optional("symbol"), call.optional("status")
        if symbol is not None:
            names = [name for name in names if name == symbol]
        if status not in (None, "Trading"):
            names = []
        start, limit = cursor_number(call.optional("cursor")) or 0, call.limit(500, 1000)
        page = names[start : start + limit]
        rows = [_instrument(found[name]) if category == CATEGORY else _spot(found[name]) for name in page]
        more = cursor(start + limit) if start + limit < len(names) else ""
        return {"category": category, "list": rows, "nextPageCursor": more}

    def tickers(self, call: Call) -> dict[str, Any]:
        category, symbol = _category(call), call.optional("symbol")
        names = list(self._engine.market.instruments) if category in _TRADED else []
        if symbol is not None:
            names = [self._symbol(call)]
        rows = [self.ticker(name, is_spot=category == "spot") for name in names]
        return {"category": category, "list": rows}

    def ticker(self, symbol: str, *, is_spot: bool) -> dict[str, Any]:
        engine, now = self._engine, self._engine.now_ms
        instrument = engine.market.instruments[symbol]
        day = engine.market.bars(symbol, _HOUR_MS, now - _DAY_MS, now, now)
        if not day:  # the tape has only begun
            day = [engine.market.bar(symbol, MINUTE_MS, now // MINUTE_MS * MINUTE_MS, now)]
        last, first = engine.last[symbol], day[0].open
        row = {
            "symbol": symbol,
            "lastPrice": text(last),
            "prevPrice24h": text(first),
            "price24hPcnt": f"{last / first - 1:.6f}",
            "highPrice24h": text(max(bar.high for bar in day)),
            "lowPrice24h": text(min(bar.low for bar in day)),
            "volume24h": money(sum((bar.volume for bar in day), start=ZERO)),
            "turnover24h": money(sum((bar.quote_volume for bar in day), start=ZERO)),
            "bid1Price": text(last - instrument.tick),
            "bid1Size": "5",
            "ask1Price": text(last),
            "ask1Size": "5",
        }
        if not is_spot:
            row |= {
                "prevPrice1h": text(day[-1].open),
                "markPrice": text(engine.marks[symbol]),
                "indexPrice": text(last),
                "openInterest": "10000",
                "openInterestValue": money(last * 10000),
                "fundingRate": text(engine.market.funding_rate(symbol, now)),
                "nextFundingTime": str((now // FUNDING_MS + 1) * FUNDING_MS),
                "fundingIntervalHour": "8",
                "fundingCap": _FUNDING_CAP,
            }
        return row

    def recent_trades(self, call: Call) -> dict[str, Any]:
        """Newest first."""
        symbol, now, limit = self._symbol(call), self._engine.now_ms, call.limit(500, 1000)
        span, market = QUARTER_MS, self._engine.market
        trades = market.public_trades(symbol, now - span, now)
        while len(trades) < limit and span < _DAY_MS:
            span *= 2
            trades = market.public_trades(symbol, now - span, now)
        trades = trades[::-1][:limit]
        return self._listed(call, [_trade(symbol, trade) for trade in trades])

    def funding_history(self, call: Call) -> dict[str, Any]:
        """Settled rates, newest first; a start needs an end."""
        symbol, now = self._symbol(call), self._engine.now_ms
        since, until = call.number("startTime"), call.number("endTime")
        if since is not None and until is None:
            raise wrong("endTime")
        market = self._engine.market
        at = min(now, now if until is None else until) // FUNDING_MS * FUNDING_MS
        first = max(market.first_ms(), since or 0)
        rows: list[dict[str, Any]] = []
        while at >= first and len(rows) < call.limit(200, 200):
            rate = text(market.funding_rate(symbol, at))
            rows.append({"symbol": symbol, "fundingRate": rate, "fundingRateTimestamp": str(at)})
            at -= FUNDING_MS
        return {"category": CATEGORY, "list": rows}

    def risk_limits(self, call: Call) -> dict[str, Any]:
        names = list(self._engine.market.instruments)
        if call.optional("symbol") is not None:
            names = [self._symbol(call)]
        rows: list[dict[str, Any]] = []
        for name in names:
            for number, tier in enumerate(self._engine.market.instruments[name].tiers, 1):
                rows.append(
                    {
                        "id": number,
                        "symbol": name,
                        "riskLimitValue": text(tier.cap),
                        "maintenanceMargin": text(tier.maintenance_rate),
                        "initialMargin": f"{1 / tier.leverage_max:.4f}",
                        "isLowestRisk": int(number == 1),
                        "maxLeverage": f"{tier.leverage_max}.00",
                        "mmDeduction": text(tier.deduction),
                    }
                )
        return {"category": CATEGORY, "list": rows, "nextPageCursor": ""}

    # -- inside

    def _bars(self, call: Call) -> list[Bar]:
        """Newest first, the first may be open; of a start without an end the oldest."""
        span = INTERVALS.get(call.text("interval"), 0) * MINUTE_MS
        if not span:
            raise wrong("interval")
        now, limit = self._engine.now_ms, call.limit(200, 1000)
        since, until = call.number("start"), call.number("end")
        if until is None:
            until = now if since is None else since + (limit - 1) * span
        until = min(until, now)
        earliest = until // span * span - (limit - 1) * span
        since = earliest if since is None else max(since, earliest)
        return self._engine.market.bars(self._symbol(call), span, since, until, now)[::-1]

    def _symbol(self, call: Call) -> str:
        _category(call)
        symbol = call.text("symbol")
        if symbol not in self._engine.market.instruments:
            raise VenueError(10001, SYMBOL)
        return symbol

    def _listed(self, call: Call, rows: list[Any]) -> dict[str, Any]:
        return {"category": _category(call), "symbol": call.text("symbol"), "list": rows}


def trade_side(trade: PublicTrade) -> str:
    return "Buy" if trade.is_taker_buy else "Sell"


def _category(call: Call) -> str:
    category = call.optional("category") or CATEGORY
    if category not in CATEGORIES:
        raise wrong("category")
    return category


def _kline(bar: Bar) -> list[str]:
    prices = [text(price) for price in (bar.open, bar.high, bar.low, bar.close)]
    return [str(bar.open_ms), *prices, text(bar.volume), money(bar.quote_volume)]


def _trade(symbol: str, trade: PublicTrade) -> dict[str, Any]:
    return {
        "execId": str(trade.trade_id),
        "symbol": symbol,
        "price": text(trade.price),
        "size": text(trade.quantity),
        "side": trade_side(trade),
        "time": str(trade.at_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(trade.trade_id),
    }


def _instrument(instrument: Instrument) -> dict[str, Any]:
    tick = text(instrument.tick)
    return {
        "symbol": instrument.symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": instrument.base,
        "quoteCoin": "USDT",
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(len(tick.partition(".")[2])),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": f"{instrument.tiers[0].leverage_max}.00",
            "leverageStep": "1",
        },
        "priceFilter": {
            "minPrice": text(instrument.price_min),
            "maxPrice": text(instrument.price_max),
            "tickSize": tick,
        },
        "lotSizeFilter": {
            "maxOrderQty": text(instrument.quantity_max),
            "minOrderQty": text(instrument.quantity_min),
            "qtyStep": text(instrument.step),
            "postOnlyMaxOrderQty": text(instrument.quantity_max),
            "maxMktOrderQty": text(instrument.market_quantity_max),
            "minNotionalValue": text(instrument.notional_min),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": "USDT",
        "copyTrading": "none",
        "upperFundingRate": _FUNDING_CAP,
        "lowerFundingRate": f"-{_FUNDING_CAP}",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {
            "priceLimitRatioX": text(instrument.band),
            "priceLimitRatioY": text(instrument.band),
        },
        "symbolType": "",
    }


def _spot(instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "baseCoin": instrument.base,
        "quoteCoin": "USDT",
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "none",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": text(instrument.step),
            "quotePrecision": "0.0000001",
            "minOrderQty": text(instrument.quantity_min),
            "maxOrderQty": text(instrument.quantity_max),
            "minOrderAmt": "5",
            "maxOrderAmt": "8000000",
        },
        "priceFilter": {"tickSize": text(instrument.tick)},
        "riskParameters": {
            "priceLimitRatioX": text(instrument.band),
            "priceLimitRatioY": text(instrument.band),
        },
        "symbolType": "",
    }
