"""Bybit's rows as what the service knows: pure, decimals from text, and nothing that cannot be gets through.

Raises ImpossibleVenueData for numbers no venue can truthfully report; what is absent ("", null, a placeholder 0 where
0 is no value) is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from core.errors import ImpossibleVenueData
from core.ids import ClientOrderId, parse_client_order_id
from core.market import SymbolRules
from core.order import Leg, OrderStatus
from core.position import ZERO, Fill, OrderSide
from core.timeframe import from_ms
from exchanges.base import Balance, Execution, FundingPaid, OrderReport, ProtectionMoved, VenuePosition
from exchanges.bybit.codes import reject_class
from exchanges.bybit.wire import (
    CoinRow,
    ExecutionRow,
    Instrument,
    KeyInfo,
    OrderRow,
    PositionRow,
    Text,
    TransactionRow,
    WalletRow,
)
from exchanges.credentials import KeyRights

USDT: Final = "USDT"
_MOST: Final = Decimal("1E18")
_LEAST_EXPONENT: Final = -30
_LONGEST: Final = 60
_FIRST_MS, _LAST_MS = 1_262_304_000_000, 4_102_444_800_000  # 2010 to 2100
_SIDES: Final = {"Buy": OrderSide.BUY, "Sell": OrderSide.SELL}

_STATUSES: Final = {
    "Created": OrderStatus.SUBMITTED,
    "New": OrderStatus.SUBMITTED,
    "Untriggered": OrderStatus.SUBMITTED,
    "Triggered": OrderStatus.SUBMITTED,
    "Active": OrderStatus.SUBMITTED,
    "PendingCancel": OrderStatus.SUBMITTED,
    "PartiallyFilled": OrderStatus.PARTIAL,
    "Filled": OrderStatus.FILLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELED,
    "Cancelled": OrderStatus.CANCELED,
    "Deactivated": OrderStatus.CANCELED,
    "Rejected": OrderStatus.REJECTED,
}
_AT_ONCE: Final = frozenset({"IOC", "FOK"})
_ASKED: Final = frozenset({"CancelByUser", "CancelByAdmin"})
_UNSAID: Final = frozenset({"", "UNKNOWN", "EC_NoError"})

FUNDING: Final = "Funding"
_ENDED_BY_VENUE: Final = {
    "BustTrade": Leg.LIQUIDATION,
    "AdlTrade": Leg.ADL,
    "Settle": Leg.SETTLEMENT,
    "Delivery": Leg.SETTLEMENT,
}
_MADE_BY_VENUE: Final = {
    "Liq": Leg.LIQUIDATION,
    "TakeOverPassThrough": Leg.LIQUIDATION,
    "MmRateClose": Leg.LIQUIDATION,
    "AdlPassThrough": Leg.ADL,
    "Settle": Leg.SETTLEMENT,
}
_FILLS: Final = _ENDED_BY_VENUE.keys() | {"Trade", "BlockTrade", "MovePosition", "FutureSpread", "", None}
_LINEAR: Final = frozenset({"linear", "", None})
_STOPS: Final = frozenset({"StopLoss", "PartialStopLoss"})
_TRAILS: Final = frozenset({"TrailingStop"})
_TARGETS: Final = frozenset({"TakeProfit", "PartialTakeProfit", "TrailingProfit"})


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """An execution whose fees are still in the assets they were taken in: (asset, amount), negative a rebate."""

    execution: Execution
    fees: tuple[tuple[str, Decimal], ...]
    order_id: str

    @property
    def foreign(self) -> tuple[str, ...]:
        """Assets whose price in USDT is needed."""
        return tuple(asset for asset, _ in self.fees if asset != USDT)


def number(text: Text, field: str) -> Decimal | None:
    """`text` as a finite decimal; None where there is none."""
    if not text:
        return None
    try:
        value = Decimal(text) if len(text) <= _LONGEST else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    # Comparing is exact; arithmetic with an exponent out of bounds would overflow.
    if not value.is_finite() or value.copy_abs() >= _MOST or _tiny(value):
        raise ImpossibleVenueData(f"Bybit reports {field} {text[:_LONGEST]!r}.")
    return value


def _tiny(value: Decimal) -> bool:
    return bool(value) and value.adjusted() < _LEAST_EXPONENT


def amount(text: Text, field: str) -> Decimal:
    """A quantity that must be there, 0 or more."""
    value = number(text, field)
    if value is None or value < 0:
        raise ImpossibleVenueData(f"Bybit reports {field} {str(text)[:_LONGEST]!r}.")
    return value


def price(text: Text, field: str) -> Decimal | None:
    """A price above 0; 0 and "" both say that there is none."""
    value = number(text, field)
    if value is not None and value < 0:
        raise ImpossibleVenueData(f"Bybit reports {field} {text!r}.")
    return value or None


def moment(text: Text, field: str) -> datetime:
    """Milliseconds since the epoch, as text."""
    if not text or not text.isascii() or not text.isdigit() or not _FIRST_MS <= int(text[:20]) < _LAST_MS:
        raise ImpossibleVenueData(f"Bybit reports {field} {str(text)[:_LONGEST]!r}.")
    return from_ms(int(text))


def side_of(text: Text) -> OrderSide:
    side = _SIDES.get(text or "")
    if side is None:
        raise ImpossibleVenueData(f"Bybit reports a trade with side {str(text)[:_LONGEST]!r}.")
    return side


def order_status(row: OrderRow) -> OrderStatus:
    """An IOC or FOK that nobody cancelled has expired. A rejected order with fills has been cancelled for the rest."""
    status = _STATUSES.get(row.order_status)
    if status is None:
        raise ImpossibleVenueData(f"Bybit reports order status {row.order_status[:_LONGEST]!r}.")
    filled = number(row.cum_exec_qty, "an executed quantity") or ZERO
    if status is OrderStatus.REJECTED and filled:
        return OrderStatus.CANCELED
    if status is OrderStatus.SUBMITTED and filled:
        return OrderStatus.PARTIAL
    if status is not OrderStatus.CANCELED or (row.cancel_type or "") in _ASKED:
        return status
    asked = row.reject_reason == "EC_PerCancelRequest"
    at_once = row.order_type == "Market" or (row.time_in_force or "") in _AT_ONCE
    return OrderStatus.EXPIRED if at_once and not asked else status


def order_reason(row: OrderRow) -> str | None:
    """Why an order ended without being filled, in the venue's words."""
    if reject_class(row.reject_reason or "") is not None:
        return row.reject_reason
    return None if (row.cancel_type or "") in _UNSAID else row.cancel_type


def order_report(
    row: OrderRow, client_order_id: ClientOrderId, executions: tuple[Execution, ...] = ()
) -> OrderReport:
    """Raises ImpossibleVenueData where more was executed than ordered."""
    ordered = amount(row.qty, "an order's quantity")
    filled = number(row.cum_exec_qty, "an executed quantity") or ZERO
    told = sum((execution.fill.quantity for execution in executions), ZERO)
    if filled < 0 or max(filled, told) > ordered:
        raise ImpossibleVenueData(
            f"Bybit reports order {client_order_id} with {max(filled, told)} executed of {ordered}."
        )
    status = order_status(row)
    return OrderReport(
        client_order_id=client_order_id,
        venue_order_id=row.order_id,
        status=OrderStatus.PARTIAL if status is OrderStatus.SUBMITTED and told else status,
        filled_quantity=max(filled, told),
        executions=executions,
        reason=None if status in (OrderStatus.SUBMITTED, OrderStatus.FILLED) else order_reason(row),
    )


def own_id(text: Text) -> ClientOrderId | None:
    """The client id of an order of this service; None for anyone else's."""
    return ClientOrderId(text) if text and parse_client_order_id(text) is not None else None


def is_fill(row: ExecutionRow) -> bool:
    """Whether the row moved a position: funding and corporate actions are listed among executions too."""
    return row.exec_type in _FILLS and row.category in _LINEAR


def trade(row: ExecutionRow, asked: ClientOrderId | None = None) -> Trade:
    """One fill. Orders of the venue's own making and of other hands carry the leg they are booked under.

    `asked`: the order whose executions were asked for.
    """
    quantity, at = (
        amount(row.exec_qty, "an executed quantity"),
        amount(row.exec_price, "an execution's price"),
    )
    if not quantity or not at:
        raise ImpossibleVenueData(f"Bybit reports execution {row.exec_id[:_LONGEST]} of {quantity} at {at}.")
    leg = _venue_leg(row)
    fill = Fill(
        trade_id=row.exec_id,
        side=side_of(row.side),
        quantity=quantity,
        price=at,
        commission=ZERO,
        executed_at=moment(row.exec_time, "an execution's time"),
        maker=row.is_maker,
    )
    ours = None
    if leg is None:
        ours = asked if asked is not None and row.order_link_id == asked else own_id(row.order_link_id)
    execution = Execution(
        symbol=row.symbol,
        fill=fill,
        client_order_id=ours,
        venue_leg=leg if ours is not None or leg is not None else Leg.MANUAL,
    )
    return Trade(execution=execution, fees=_fees(row), order_id=row.order_id)


def converted(trade: Trade, prices: Mapping[str, Decimal]) -> Execution:
    """The execution with its commission in USDT; `prices` has every asset of `trade.foreign`."""
    commission = sum((fee if asset == USDT else fee * prices[asset] for asset, fee in trade.fees), start=ZERO)
    if not commission:
        return trade.execution
    fill = msgspec.structs.replace(trade.execution.fill, commission=commission)
    return msgspec.structs.replace(trade.execution, fill=fill)


def funding_paid(row: ExecutionRow) -> FundingPaid:
    """Funding as the executions list tells it: the fee of a trade that was none, positive when paid."""
    fee = number(row.exec_fee, "a funding fee")
    return FundingPaid(
        symbol=row.symbol,
        funding_id=row.exec_id,
        amount=ZERO if fee is None else -fee,
        at=moment(row.exec_time, "a funding's time"),
    )


def settled_funding(row: TransactionRow) -> FundingPaid | None:
    """Funding as the transaction log tells it, negative when paid; None for another kind of change."""
    if row.type != "SETTLEMENT" or not row.symbol:
        return None
    paid = number(row.funding, "funding")
    if paid is None:
        return None
    return FundingPaid(
        symbol=row.symbol,
        funding_id=row.trade_id or row.id,
        amount=paid,
        at=moment(row.transaction_time, "a funding's time"),
    )


def position(row: PositionRow) -> VenuePosition | None:
    """What is open; None where the row is flat."""
    size = amount(row.size, "a position's size")
    if not size:
        return None
    entry = price(row.avg_price or row.entry_price, "an entry price")
    if entry is None:
        raise ImpossibleVenueData(f"Bybit reports a {row.symbol} position of {size} without an entry price.")
    leverage = number(row.leverage, "a leverage")
    return VenuePosition(
        symbol=row.symbol,
        quantity=size * side_of(row.side).sign,
        entry_price=entry,
        leverage=1 if leverage is None or leverage < 1 else int(leverage),
        liquidation_price=price(row.liq_price, "a liquidation price"),
        stop_loss=price(row.stop_loss, "a stop"),
        take_profit=price(row.take_profit, "a target"),
        trail=price(row.trailing_stop, "a trailing stop"),
    )


def balance(wallet: WalletRow) -> Balance:
    """USDT of a unified account. What is available, the venue tells only of cross margin; else what is not bound."""
    coin = next((row for row in wallet.coin if row.coin == USDT), CoinRow(coin=USDT))
    cash = number(coin.wallet_balance, "a wallet balance") or ZERO
    available = number(wallet.total_available_balance, "an available balance")
    if available is None:
        bound = (coin.total_position_im, coin.total_order_im, coin.locked)
        available = cash - sum(((number(text, "a margin") or ZERO) for text in bound), ZERO)
    return Balance(balance=cash, available=max(available, ZERO))


def symbol_rules(row: Instrument) -> SymbolRules:
    """An instrument's filters. Quantities of market orders have the same step and a maximum of their own."""
    lot = row.lot_size_filter
    step = amount(lot.qty_step, "a quantity step")
    most = amount(lot.max_order_qty, "a largest quantity")
    return SymbolRules(
        symbol=row.symbol,
        tick_size=amount(row.price_filter.tick_size, "a tick size"),
        step_size=step,
        min_quantity=amount(lot.min_order_qty, "a smallest quantity"),
        max_quantity=most,
        min_notional=number(lot.min_notional_value, "a smallest notional") or ZERO,
        market_step_size=step,
        max_market_quantity=number(lot.max_mkt_order_qty, "a largest market quantity") or most,
    )


def key_rights(info: KeyInfo) -> KeyRights:
    """Trading needs orders and positions of contracts; a list of addresses that is "*" binds to none."""
    granted = {group: frozenset(rights or ()) for group, rights in info.permissions.items()}
    contracts = granted.get("ContractTrade", frozenset())
    may_trade = {"Order", "Position"} <= contracts
    ips = [address for address in info.ips or [] if address and address != "*"]
    return KeyRights(
        may_read=True,
        may_trade=may_trade and not info.read_only,
        may_withdraw="Withdraw" in granted.get("Wallet", frozenset()),
        ip_bound=bool(ips),
    )


def protection_moved(row: OrderRow) -> ProtectionMoved | None:
    """What a row of the position's own stop or target says; None: it fires, or is no such row.

    A trailing stop moves by itself, so that only its end is told.
    """
    leg = _protection_leg(row)
    if leg is None or row.order_status not in ("Untriggered", "Deactivated", "Cancelled", "Rejected"):
        return None
    if row.order_status != "Untriggered":
        return ProtectionMoved(symbol=row.symbol, leg=leg, price=None)
    level = None if leg is Leg.TRAILING_STOP else price(row.trigger_price, "a trigger price")
    return None if level is None else ProtectionMoved(symbol=row.symbol, leg=leg, price=level)


def _venue_leg(row: ExecutionRow) -> Leg | None:
    """The leg of an order nobody placed; None: somebody did."""
    if (ended := _ENDED_BY_VENUE.get(row.exec_type or "")) is not None:
        return ended
    made = (row.create_type or "").removeprefix("CreateBy").replace("_", "")
    if made in _MADE_BY_VENUE:
        return _MADE_BY_VENUE[made]
    return _protection_leg(row)


def _protection_leg(row: OrderRow | ExecutionRow) -> Leg | None:
    made = (row.create_type or "").removeprefix("CreateBy").replace("_", "")
    stop = row.stop_order_type or ""
    if made in _STOPS or stop in _STOPS:
        return Leg.STOP_LOSS
    if made in _TRAILS or stop in _TRAILS:
        return Leg.TRAILING_STOP
    if made in _TARGETS or stop in _TARGETS:
        return Leg.TAKE_PROFIT
    return None


def _fees(row: ExecutionRow) -> tuple[tuple[str, Decimal], ...]:
    """A linear contract's fee is in its quote currency unless the row names another."""
    fee = number(row.exec_fee, "a fee") or ZERO
    fees = [(row.fee_currency or USDT, fee)]
    if isinstance(row.extra_fees, list):
        fees += [
            (extra.fee_coin or USDT, number(extra.fee, "an extra fee") or ZERO) for extra in row.extra_fees
        ]
    return tuple((asset, fee) for asset, fee in fees if fee)
