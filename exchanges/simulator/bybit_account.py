"""The unified account of the Bybit face: wallet, margin mode, fees, what a key may do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchanges.simulator.account import Account
from exchanges.simulator.bybit_call import Call
from exchanges.simulator.bybit_codes import MARGIN_AS_BEFORE, MARGIN_MODE_FAILED, VenueError, wrong
from exchanges.simulator.bybit_orders import linear_symbol
from exchanges.simulator.bybit_routes import Route, Routes, reading
from exchanges.simulator.bybit_words import CATEGORY, money, text
from exchanges.simulator.engine import Engine
from exchanges.simulator.model import QUOTE, ZERO, Reason, Refused

_MODES = {"REGULAR_MARGIN": False, "ISOLATED_MARGIN": True}
_UNIFIED_ACCOUNT = 6
_ADDRESSES = ["203.0.113.7"]


def routes(engine: Engine) -> Routes:
    account = BybitAccount(engine)
    return {
        ("GET", "/v5/account/wallet-balance"): reading(account.wallet, "wallet"),
        ("GET", "/v5/account/info"): reading(account.info, "info"),
        ("GET", "/v5/account/fee-rate"): reading(account.fee_rate, "fee-rate"),
        ("POST", "/v5/account/set-margin-mode"): Route(
            handler=account.set_margin_mode, group="set-margin-mode", writes=True
        ),
        ("GET", "/v5/user/query-api"): reading(account.key, "key"),
        ("GET", "/v5/asset/coin/query-info"): reading(account.coins, "coins"),
    }


def wallet_row(engine: Engine, account: Account, coin: str | None = None) -> dict[str, Any]:
    """What is available for all of the account is told of cross margin only."""
    marks = engine.marks
    open_positions = list(account.open_positions())
    positions = sum((account.position_margin(p, marks[p.symbol]) for p in open_positions), ZERO)
    instruments = engine.market.instruments
    maintenance = sum(
        (instruments[p.symbol].maintenance(abs(p.quantity) * marks[p.symbol]) for p in open_positions),
        ZERO,
    )
    unrealised = account.unrealised(marks)
    wallet = account.wallet[QUOTE]
    available = "" if account.isolated_default else money(account.available(marks))
    coins = [
        _coin_row(account, name, amount, positions, maintenance, unrealised)
        for name, amount in account.wallet.items()
        if coin is None or name in coin.split(",")
    ]
    return {
        "accountType": "UNIFIED",
        "accountLTV": "0",
        "accountIMRate": _rate(positions, wallet + unrealised),
        "accountMMRate": _rate(maintenance, wallet + unrealised),
        "accountIMRateByMp": _rate(positions, wallet + unrealised),
        "accountMMRateByMp": _rate(maintenance, wallet + unrealised),
        "totalEquity": money(wallet + unrealised),
        "totalWalletBalance": money(wallet),
        "totalMarginBalance": money(wallet + unrealised),
        "totalAvailableBalance": available,
        "totalPerpUPL": money(unrealised),
        "totalInitialMargin": money(positions + account.reserved),
        "totalInitialMarginByMp": money(positions + account.reserved),
        "totalMaintenanceMargin": money(maintenance),
        "totalMaintenanceMarginByMp": money(maintenance),
        "coin": coins,
    }


class BybitAccount:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def wallet(self, call: Call) -> dict[str, Any]:
        if call.text("accountType") != "UNIFIED":
            raise wrong("accountType")
        return {"list": [wallet_row(self._engine, call.account, call.optional("coin"))]}

    def info(self, call: Call) -> dict[str, Any]:
        is_isolated = call.account.isolated_default
        return {
            "marginMode": "ISOLATED_MARGIN" if is_isolated else "REGULAR_MARGIN",
            "updatedTime": str(self._engine.now_ms),
            "unifiedMarginStatus": _UNIFIED_ACCOUNT,
            "dcpStatus": "OFF",
            "timeWindow": 10,
            "smpGroup": 0,
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
        }

    def set_margin_mode(self, call: Call) -> dict[str, Any]:
        """Of the whole account. Refused here while anything is open or rests."""
        mode = call.text("setMarginMode")
        if mode not in _MODES:
            raise wrong("setMarginMode")
        try:
            self._engine.set_isolated_everywhere(call.account, _MODES[mode])
        except Refused as refused:
            if refused.reason is Reason.ALREADY_SO:
                raise VenueError(*MARGIN_AS_BEFORE) from None
            reasons = [{"reasonCode": "3400000", "reasonMsg": f"You have {refused.reason}"}]
            raise VenueError(*MARGIN_MODE_FAILED, result={"reasons": reasons}) from None
        return {"reasons": []}

    def fee_rate(self, call: Call) -> dict[str, Any]:
        names = sorted(self._engine.market.instruments)
        if call.optional("symbol") is not None:
            names = [linear_symbol(call, self._engine)]
        fees = call.account.fees
        rates = {"takerFeeRate": text(fees.taker), "makerFeeRate": text(fees.maker)}
        return {"category": CATEGORY, "list": [{"symbol": name, **rates} for name in names]}

    def key(self, call: Call) -> dict[str, Any]:
        key = call.key
        assert key is not None
        contracts = ["Order", "Position"] if key.trade else []
        wallet = ["AccountTransfer", *(["Withdraw"] if key.withdraw else [])]
        return {
            "id": "2208369",
            "note": "simulator",
            "apiKey": key.key,
            "readOnly": int(not key.trade),
            "secret": "",
            "permissions": {
                "ContractTrade": contracts,
                "Spot": [],
                "Wallet": wallet,
                "Options": [],
                "Derivatives": ["DerivativesTrade"] if key.trade else [],
                "CopyTrading": [],
                "BlockTrade": [],
                "Exchange": [],
                "NFT": [],
                "Affiliate": [],
                "Earn": [],
            },
            "ips": _ADDRESSES if key.ip_bound else ["*"],
            "type": 1,
            "deadlineDay": -2,
            "expiredAt": "1970-01-01T00:00:00Z",
            "createdAt": "2025-10-13T03:20:45Z",
            "unified": 0,
            "uta": 1,
            "userID": 1448939,
            "inviterID": 0,
            "vipLevel": "No VIP",
            "mktMakerLevel": "0",
            "affiliateID": 0,
            "rsaPublicKey": "",
            "isMaster": True,
            "parentUid": "0",
        }

    def coins(self, call: Call) -> dict[str, Any]:
        """Coins of the wallet and of what trades; nothing can be moved in or out."""
        names = {QUOTE, *call.account.wallet, *(i.base for i in self._engine.market.instruments.values())}
        rows = [{"name": name, "coin": name, "remainAmount": "0", "chains": []} for name in sorted(names)]
        return {"rows": rows}


def _coin_row(
    account: Account,
    coin: str,
    amount: Decimal,
    positions: Decimal,
    maintenance: Decimal,
    unrealised: Decimal,
) -> dict[str, Any]:
    is_quote = coin == QUOTE
    price = Decimal(1) if is_quote else account.fees.asset_price
    realised = sum((p.realised for p in account.positions.values()), ZERO) if is_quote else ZERO
    equity = amount + unrealised if is_quote else amount
    return {
        "coin": coin,
        "equity": money(equity),
        "usdValue": money(equity * price),
        "walletBalance": money(amount),
        "locked": "0",
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "availableToBorrow": "",
        "availableToWithdraw": "",
        "accruedInterest": "0",
        "totalOrderIM": money(account.reserved if is_quote else ZERO),
        "totalPositionIM": money(positions if is_quote else ZERO),
        "totalPositionMM": money(maintenance if is_quote else ZERO),
        "unrealisedPnl": money(unrealised if is_quote else ZERO),
        "cumRealisedPnl": money(realised),
        "bonus": "0",
        "marginCollateral": is_quote,
        "collateralSwitch": is_quote,
        "spotBorrow": "0",
    }


def _rate(part: Decimal, whole: Decimal) -> str:
    return f"{part / whole:.4f}" if whole > 0 else "0"
