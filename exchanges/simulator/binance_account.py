"""Balances, positions, income, rates of the Binance face, and what a key may do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchanges.simulator.account import Account
from exchanges.simulator.binance_call import Call
from exchanges.simulator.binance_codes import VenueError, invalid
from exchanges.simulator.binance_routes import Routes, signed
from exchanges.simulator.binance_words import INCOME_WORDS, money, plain, price
from exchanges.simulator.engine import Engine
from exchanges.simulator.limits import Limits
from exchanges.simulator.model import ZERO, Income, Position, PositionSide

_INCOME_KINDS = {word: kind for kind, word in INCOME_WORDS.items()}
_WEEK_MS = 7 * 24 * 3600 * 1000


def routes(engine: Engine, limits: Limits) -> Routes:
    account = BinanceAccount(engine, limits)
    return {
        ("GET", "/fapi/v2/balance"): signed(account.balance, 5),
        ("GET", "/fapi/v3/balance"): signed(account.balance, 5),
        ("GET", "/fapi/v2/account"): signed(account.account_v2, 5),
        ("GET", "/fapi/v3/account"): signed(account.account_v3, 5),
        ("GET", "/fapi/v2/positionRisk"): signed(account.position_risk_v2, 5),
        ("GET", "/fapi/v3/positionRisk"): signed(account.position_risk_v3, 5),
        ("GET", "/fapi/v1/income"): signed(account.income, 30),
        ("GET", "/fapi/v1/commissionRate"): signed(account.commission, 20),
        ("GET", "/fapi/v1/rateLimit/order"): signed(account.rate_limit),
        ("GET", "/sapi/v1/account/apiRestrictions"): signed(account.restrictions),
        # Clients that load all of a venue ask for coins and margin pairs; this one has neither.
        ("GET", "/sapi/v1/capital/config/getall"): signed(lambda call: [], 10),
        ("GET", "/sapi/v1/margin/allPairs"): signed(lambda call: []),
        ("GET", "/sapi/v1/margin/isolated/allPairs"): signed(lambda call: []),
    }


class BinanceAccount:
    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits

    def balance(self, call: Call) -> list[dict[str, Any]]:
        account, marks = call.account, self._engine.marks
        available = money(account.available(marks))
        return [
            {
                "accountAlias": "SgsR",
                "asset": asset,
                "balance": money(amount),
                "crossWalletBalance": money(account.cross_wallet() if asset == "USDT" else amount),
                "crossUnPnl": money(account.cross_unrealised(marks) if asset == "USDT" else ZERO),
                "availableBalance": available if asset == "USDT" else money(amount),
                "maxWithdrawAmount": available if asset == "USDT" else money(amount),
                "marginAvailable": True,
                "updateTime": self._engine.now_ms,
            }
            for asset, amount in account.wallet.items()
        ]

    def account_v3(self, call: Call) -> dict[str, Any]:
        account = call.account
        held = [p for p in account.positions.values() if p.quantity or self._has_orders(account, p.symbol)]
        return {**self._totals(account), "positions": [self._held(account, p) for p in held]}

    def account_v2(self, call: Call) -> dict[str, Any]:
        """With every symbol, flat ones included, and what v3 left out."""
        account = call.account
        positions = [
            {
                **self._held(account, position),
                "leverage": str(account.leverage_of(position.symbol)),
                "isolated": account.is_isolated(position.symbol),
                "entryPrice": price(position.entry_price),
                "positionInitialMargin": money(self._margin(account, position)),
                "openOrderInitialMargin": money(ZERO),
                "maxNotional": "250000",
                "bidNotional": "0",
                "askNotional": "0",
            }
            for position in self._all_positions(account, None)
        ]
        return {
            "feeTier": 0,
            "feeBurn": True,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "updateTime": 0,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
            **self._totals(account),
            "positions": positions,
        }

    def position_risk_v3(self, call: Call) -> list[dict[str, Any]]:
        """Symbols with a position or an open order only."""
        account, symbol = call.account, call.params.get("symbol")
        shown = [
            position
            for position in self._all_positions(account, symbol)
            if position.quantity or self._has_orders(account, position.symbol)
        ]
        return [self._risk(account, position) for position in shown]

    def position_risk_v2(self, call: Call) -> list[dict[str, Any]]:
        account = call.account
        return [
            {
                **self._risk(account, position),
                "leverage": str(account.leverage_of(position.symbol)),
                "marginType": "isolated" if account.is_isolated(position.symbol) else "cross",
                "isAutoAddMargin": "false",
                "maxNotionalValue": "20000000",
            }
            for position in self._all_positions(account, call.params.get("symbol"))
        ]

    def income(self, call: Call) -> list[dict[str, Any]]:
        """Oldest first; without times the last week."""
        now = self._engine.now_ms
        since, until = call.number("startTime"), call.number("endTime")
        until = now if until is None else until
        since = until - _WEEK_MS if since is None else since
        symbol, word = call.params.get("symbol"), call.params.get("incomeType")
        if word is not None and word not in _INCOME_KINDS:
            raise invalid("incomeType")
        found = [
            income
            for income in call.account.income
            if since <= income.at_ms <= until
            and symbol in (None, income.symbol)
            and (word is None or income.kind is _INCOME_KINDS[word])
        ]
        return [_income_json(income) for income in found[: call.limit(100, 1000)]]

    def commission(self, call: Call) -> dict[str, Any]:
        symbol, fees = call.text("symbol"), call.account.fees
        if symbol not in self._engine.market.instruments:
            raise VenueError(-1121, "Invalid symbol.")
        return {
            "symbol": symbol,
            "makerCommissionRate": plain(fees.maker),
            "takerCommissionRate": plain(fees.taker),
            "rpiCommissionRate": "0.00005",
        }

    def rate_limit(self, call: Call) -> list[dict[str, Any]]:
        ceilings = self._limits.ceilings
        rows = (("SECOND", 10, ceilings.orders_10s), ("MINUTE", 1, ceilings.orders_1m))
        return [
            {"rateLimitType": "ORDERS", "interval": interval, "intervalNum": count, "limit": limit}
            for interval, count, limit in rows
        ]

    def restrictions(self, call: Call) -> dict[str, Any]:
        key = call.key
        assert key is not None
        return {
            "ipRestrict": key.ip_bound,
            "createTime": 1_698_645_219_000,
            "enableReading": key.read,
            "enableSpotAndMarginTrading": False,
            "enableWithdrawals": key.withdraw,
            "enableInternalTransfer": key.withdraw,
            "enableMargin": False,
            "enableFutures": key.trade,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enablePortfolioMarginTrading": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
        }

    # -- inside

    def _totals(self, account: Account) -> dict[str, Any]:
        marks = self._engine.marks
        wallet, unrealised = account.wallet["USDT"], account.unrealised(marks)
        margin = sum((self._margin(account, p) for p in account.open_positions()), ZERO)
        maintenance = sum((self._maintenance(p) for p in account.open_positions()), ZERO)
        available = money(account.available(marks))
        row = {
            "walletBalance": money(wallet),
            "unrealizedProfit": money(unrealised),
            "marginBalance": money(wallet + unrealised),
            "maintMargin": money(maintenance),
            "initialMargin": money(margin + account.reserved),
            "positionInitialMargin": money(margin),
            "openOrderInitialMargin": money(account.reserved),
            "crossWalletBalance": money(account.cross_wallet()),
            "crossUnPnl": money(account.cross_unrealised(marks)),
            "availableBalance": available,
            "maxWithdrawAmount": available,
        }
        totals = {
            f"total{name[0].upper()}{name[1:]}": value
            for name, value in row.items()
            if name not in ("availableBalance", "maxWithdrawAmount")
        }
        totals["totalUnrealizedProfit"] = row["unrealizedProfit"]
        assets = [{"asset": "USDT", **row, "marginAvailable": True, "updateTime": self._engine.now_ms}]
        for asset, amount in account.wallet.items():
            if asset != "USDT":
                flat = {name: money(ZERO) for name in row}
                held = {"walletBalance": money(amount), "marginBalance": money(amount)}
                assets.append({"asset": asset, **flat, **held, "marginAvailable": True, "updateTime": 0})
        return {**totals, "availableBalance": available, "maxWithdrawAmount": available, "assets": assets}

    def _held(self, account: Account, position: Position) -> dict[str, Any]:
        mark = self._engine.marks[position.symbol]
        return {
            "symbol": position.symbol,
            "positionSide": position.side.upper(),
            "positionAmt": plain(position.quantity),
            "unrealizedProfit": money(position.unrealised(mark)),
            "isolatedMargin": money(self._isolated(account, position)),
            "notional": money(position.quantity * mark),
            "isolatedWallet": money(position.margin),
            "initialMargin": money(self._margin(account, position)),
            "maintMargin": money(self._maintenance(position)),
            "updateTime": position.updated_ms,
        }

    def _risk(self, account: Account, position: Position) -> dict[str, Any]:
        mark = self._engine.marks[position.symbol]
        limit = self._engine.liquidation_price(account, position)
        margin = money(self._margin(account, position))
        return {
            "symbol": position.symbol,
            "positionSide": position.side.upper(),
            "positionAmt": plain(position.quantity),
            "entryPrice": plain(_short(position.entry_price)),
            "breakEvenPrice": plain(_short(position.entry_price)),
            "markPrice": money(mark),
            "unRealizedProfit": money(position.unrealised(mark)),
            "liquidationPrice": "0" if limit is None else money(limit),
            "isolatedMargin": money(self._isolated(account, position)),
            "notional": money(position.quantity * mark),
            "marginAsset": "USDT",
            "isolatedWallet": money(position.margin),
            "initialMargin": margin,
            "maintMargin": money(self._maintenance(position)),
            "positionInitialMargin": margin,
            "openOrderInitialMargin": "0",
            "adl": 2,
            "bidNotional": "0",
            "askNotional": "0",
            "updateTime": position.updated_ms,
        }

    def _all_positions(self, account: Account, symbol: str | None) -> list[Position]:
        symbols = self._engine.market.instruments if symbol is None else [symbol]
        if symbol is not None and symbol not in self._engine.market.instruments:
            raise VenueError(-1121, "Invalid symbol.")
        sides = (PositionSide.LONG, PositionSide.SHORT) if account.hedge else (PositionSide.BOTH,)
        return [account.position(each, side) for each in symbols for side in sides]

    def _has_orders(self, account: Account, symbol: str) -> bool:
        return any(order.request.symbol == symbol for order in account.orders.values())

    def _margin(self, account: Account, position: Position) -> Decimal:
        return account.position_margin(position, self._engine.marks[position.symbol])

    def _isolated(self, account: Account, position: Position) -> Decimal:
        """What isolates it now: its wallet with what it has won or lost."""
        if not account.is_isolated(position.symbol):
            return ZERO
        return position.margin + position.unrealised(self._engine.marks[position.symbol])

    def _maintenance(self, position: Position) -> Decimal:
        notional = abs(position.quantity) * self._engine.marks[position.symbol]
        return self._engine.market.instruments[position.symbol].maintenance(notional)


def _short(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.00000001")).normalize() if amount else ZERO


def _income_json(income: Income) -> dict[str, Any]:
    word = INCOME_WORDS[income.kind]
    return {
        "symbol": income.symbol,
        "incomeType": word,
        "income": money(income.amount),
        "asset": income.asset,
        "info": word,
        "time": income.at_ms,
        "tranId": income.income_id,
        "tradeId": "" if income.trade_id is None else str(income.trade_id),
    }
