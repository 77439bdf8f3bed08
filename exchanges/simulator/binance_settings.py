"""Modes, margin and leverage of the Binance face."""

from __future__ import annotations

from typing import Any

from exchanges.simulator.binance_call import Call
from exchanges.simulator.binance_codes import POSITION_MODE_WORDS, VenueError, invalid, missing
from exchanges.simulator.binance_routes import Routes, signed, trading
from exchanges.simulator.engine import Engine
from exchanges.simulator.instruments import Instrument
from exchanges.simulator.model import Refused

_DONE = {"code": 200, "msg": "success"}


def routes(engine: Engine) -> Routes:
    settings = BinanceSettings(engine)
    return {
        ("GET", "/fapi/v1/positionSide/dual"): signed(settings.position_mode, 30),
        ("POST", "/fapi/v1/positionSide/dual"): trading(settings.set_position_mode),
        ("GET", "/fapi/v1/multiAssetsMargin"): signed(lambda call: {"multiAssetsMargin": False}, 30),
        ("POST", "/fapi/v1/multiAssetsMargin"): trading(settings.set_multi_assets),
        ("POST", "/fapi/v1/leverage"): trading(settings.set_leverage),
        ("POST", "/fapi/v1/marginType"): trading(settings.set_margin_type),
        ("GET", "/fapi/v1/leverageBracket"): signed(settings.brackets),
        ("GET", "/fapi/v1/symbolConfig"): signed(settings.symbol_config, 5),
        ("GET", "/fapi/v1/accountConfig"): signed(settings.account_config, 5),
    }


class BinanceSettings:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def position_mode(self, call: Call) -> dict[str, Any]:
        return {"dualSidePosition": call.account.hedge}

    def set_position_mode(self, call: Call) -> dict[str, Any]:
        word = call.text("dualSidePosition").lower()
        if word not in ("true", "false"):
            raise invalid("dualSidePosition")
        try:
            self._engine.set_hedge(call.account, word == "true")
        except Refused as refused:
            code, message = POSITION_MODE_WORDS[refused.reason]
            raise VenueError(code, message) from None
        return _DONE

    def set_multi_assets(self, call: Call) -> dict[str, Any]:
        if call.text("multiAssetsMargin").lower() == "true":
            raise invalid("multiAssetsMargin")
        raise VenueError(-4171, "No need to change multi-assets mode")

    def set_leverage(self, call: Call) -> dict[str, Any]:
        symbol, leverage = self._symbol(call), call.number("leverage")
        if leverage is None:
            raise missing("leverage")
        self._engine.set_leverage(call.account, symbol, leverage)
        return {
            "symbol": symbol,
            "leverage": leverage,
            "maxNotionalValue": self._most(symbol, leverage),
        }

    def set_margin_type(self, call: Call) -> dict[str, Any]:
        symbol, word = self._symbol(call), call.text("marginType")
        if word not in ("ISOLATED", "CROSSED"):
            raise invalid("marginType")
        self._engine.set_isolated(call.account, symbol, word == "ISOLATED")
        return _DONE

    def brackets(self, call: Call) -> Any:
        """One object for one symbol, a list for all."""
        instruments = self._engine.market.instruments
        if "symbol" in call.params:
            return _brackets(instruments[self._symbol(call)])
        return [_brackets(instrument) for instrument in instruments.values()]

    def symbol_config(self, call: Call) -> list[dict[str, Any]]:
        account = call.account
        symbols = [self._symbol(call)] if "symbol" in call.params else self._engine.market.instruments
        return [
            {
                "symbol": symbol,
                "marginType": "ISOLATED" if account.is_isolated(symbol) else "CROSSED",
                "isAutoAddMargin": False,
                "leverage": account.leverage_of(symbol),
                "maxNotionalValue": self._most(symbol, account.leverage_of(symbol)),
            }
            for symbol in symbols
        ]

    def account_config(self, call: Call) -> dict[str, Any]:
        return {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "dualSidePosition": call.account.hedge,
            "updateTime": 0,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
        }

    def _most(self, symbol: str, leverage: int) -> str:
        """The largest notional at that leverage."""
        tiers = self._engine.market.instruments[symbol].tiers
        return str(max(tier.cap for tier in tiers if tier.leverage_max >= leverage))

    def _symbol(self, call: Call) -> str:
        symbol = call.text("symbol")
        if symbol not in self._engine.market.instruments:
            raise VenueError(-1121, "Invalid symbol.")
        return symbol


def _brackets(instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "notionalCoef": 1.0,
        "brackets": [
            {
                "bracket": number,
                "initialLeverage": tier.leverage_max,
                "notionalCap": int(tier.cap),
                "notionalFloor": int(tier.floor),
                "maintMarginRatio": float(tier.maintenance_rate),
                "cum": float(tier.deduction),
            }
            for number, tier in enumerate(instrument.tiers, 1)
        ],
    }
