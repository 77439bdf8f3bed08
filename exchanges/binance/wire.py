"""Binance's messages as they are documented. Amounts stay text: "" and a missing key mean absent, never 0.

Unknown fields are ignored; fields that left the documentation, or came late, are optional.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, TypeVar

import msgspec

from core.errors import ImpossibleVenueData, RunnerError
from core.position import ZERO
from core.timeframe import from_ms, to_ms

T = TypeVar("T")

WIRE_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""All that decoding bytes can raise: form, encoding, and nesting without end."""
_LAST_MS: Final = to_ms(datetime(2100, 1, 1, tzinfo=UTC))
_MOST: Final = Decimal("1E18")
_LEAST_EXPONENT: Final = -30
_LONGEST_NUMBER: Final = 60


class Unreadable(RunnerError):
    """An answer or message that is not of the documented form."""


def read(body: bytes, form: type[T]) -> T:
    """The body as `form`; raises Unreadable."""
    try:
        return msgspec.json.decode(body, type=form)
    except WIRE_ERRORS as error:
        raise Unreadable(
            f"Binance answered in a form that cannot be read ({type(error).__name__})."
        ) from None


def number(text: str, name: str) -> Decimal:
    """An amount; raises ImpossibleVenueData where it is no finite number of a size that can be."""
    try:
        value = Decimal(text) if len(text) <= _LONGEST_NUMBER else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    # Comparing is exact; arithmetic with an exponent beyond all bounds would overflow, also at 0.
    if not value.is_finite() or value.copy_abs() >= _MOST or (value and value.adjusted() < _LEAST_EXPONENT):
        raise ImpossibleVenueData(f"Binance says that {name} is {text[:_LONGEST_NUMBER]!r}.")
    return value or ZERO


def positive(text: str, name: str) -> Decimal:
    value = number(text, name)
    if value <= 0:
        raise ImpossibleVenueData(f"Binance says that {name} is {value}.")
    return value


def not_negative(text: str, name: str) -> Decimal:
    value = number(text, name)
    if value < 0:
        raise ImpossibleVenueData(f"Binance says that {name} is {value}.")
    return value


def present(text: str | None, name: str) -> Decimal | None:
    """An amount where 0 and "" are place-holders for none."""
    if text is None or text in ("", "None"):
        return None
    return not_negative(text, name) or None


def time_of(ms: int) -> datetime:
    """A venue time; raises ImpossibleVenueData beyond this century."""
    if not 0 < ms < _LAST_MS:
        raise ImpossibleVenueData(f"Binance says that it is {ms} ms after 1970.")
    return from_ms(ms)


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Field names in camel case on the wire."""


class ErrorBody(_Wire, frozen=True):
    code: int | None = None
    msg: str = ""


class Done(_Wire, frozen=True):
    """The answer of a change. The algo endpoints say the code as text."""

    code: int | str
    msg: str = ""


class ServerTime(_Wire, frozen=True):
    server_time: Annotated[int, msgspec.Meta(gt=0, lt=_LAST_MS)]


class OrderRow(_Wire, frozen=True):
    """An order of `/fapi/v1/order` and its relatives. `avg_price` left the answer to a new order in 2026."""

    symbol: str
    order_id: int
    client_order_id: str
    status: str
    side: str
    type: str
    orig_qty: str
    executed_qty: str
    price: str = ""
    avg_price: str = ""
    orig_type: str = ""
    time_in_force: str = ""
    position_side: str = "BOTH"
    reduce_only: bool = False
    close_position: bool = False
    stop_price: str = ""
    time: int = 0
    update_time: int = 0


class AlgoRow(_Wire, frozen=True):
    """A conditional order of `/fapi/v1/algoOrder`. The type is spelled `orderType`, in older answers `type`."""

    symbol: str
    algo_id: int
    client_algo_id: str
    algo_status: str
    side: str
    order_type: str = ""
    type: str = ""
    quantity: str = ""
    trigger_price: str = ""
    price: str = ""
    activate_price: str | None = None
    callback_rate: str | None = None
    actual_order_id: str | int | None = None
    position_side: str = "BOTH"
    reduce_only: bool = False
    close_position: bool = False
    working_type: str = ""
    create_time: int = 0
    update_time: int = 0
    trigger_time: int = 0


class AlgoCanceled(_Wire, frozen=True):
    algo_id: int
    client_algo_id: str
    code: int | str


class TradeRow(_Wire, frozen=True):
    """A row of `/fapi/v1/userTrades`. `realized_pnl` is before the commission, which is positive when paid."""

    symbol: str
    id: int
    order_id: int
    side: str
    price: str
    qty: str
    commission: str
    commission_asset: str
    time: int
    realized_pnl: str = ""
    maker: bool = False
    position_side: str = "BOTH"


class PositionRow(_Wire, frozen=True):
    """A row of `positionRisk`, version 3 or 2; version 3 knows neither leverage nor margin type."""

    symbol: str
    position_amt: str
    entry_price: str
    position_side: str = "BOTH"
    mark_price: str = ""
    un_realized_profit: str = ""
    liquidation_price: str = ""
    leverage: str = ""
    margin_type: str = ""
    update_time: int = 0


class BalanceRow(_Wire, frozen=True):
    """A row of `/fapi/v3/balance`: one asset."""

    asset: str
    balance: str
    available_balance: str
    cross_un_pnl: str = ""


class AssetRow(_Wire, frozen=True):
    asset: str
    wallet_balance: str
    available_balance: str
    margin_balance: str
    position_initial_margin: str
    open_order_initial_margin: str


class HeldRow(_Wire, frozen=True):
    """A position inside `/account`; `leverage` and `isolated` are there in version 2 only."""

    symbol: str
    position_side: str
    position_amt: str
    unrealized_profit: str
    leverage: str = ""
    isolated: bool | None = None


class AccountRow(_Wire, frozen=True):
    """`/fapi/v3/account`, or version 2."""

    total_wallet_balance: str
    total_margin_balance: str
    available_balance: str
    assets: list[AssetRow]
    positions: list[HeldRow]


class AccountConfig(_Wire, frozen=True):
    can_trade: bool
    dual_side_position: bool
    multi_assets_margin: bool


class SymbolConfig(_Wire, frozen=True):
    """`margin_type` is CROSSED or ISOLATED here."""

    symbol: str
    margin_type: str
    leverage: int


class PositionModeRow(_Wire, frozen=True):
    dual_side_position: bool


class MultiAssetsRow(_Wire, frozen=True):
    multi_assets_margin: bool


class LeverageSet(_Wire, frozen=True):
    symbol: str
    leverage: int


class BracketRow(_Wire, frozen=True):
    """A leverage tier. These amounts are JSON numbers, read without a float in between."""

    bracket: int
    initial_leverage: int
    notional_cap: Decimal
    maint_margin_ratio: Decimal


class BracketsRow(_Wire, frozen=True):
    symbol: str
    brackets: list[BracketRow]


class RateLimitRow(_Wire, frozen=True):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class CommissionRow(_Wire, frozen=True):
    symbol: str
    maker_commission_rate: str
    taker_commission_rate: str


class IncomeRow(_Wire, frozen=True):
    """`tran_id` is unique within one income type of one user."""

    symbol: str
    income_type: str
    income: str
    asset: str
    time: int
    tran_id: int


class ListenKey(_Wire, frozen=True):
    listen_key: str = ""


class KeyRestrictions(_Wire, frozen=True):
    """`/sapi/v1/account/apiRestrictions`; what it does not say is taken as the more dangerous."""

    enable_withdrawals: bool = True
    enable_reading: bool = False
    enable_futures: bool = False
    ip_restrict: bool | None = None


class Countdown(_Wire, frozen=True):
    symbol: str
    countdown_time: str | int


class InstrumentRow(_Wire, frozen=True):
    """A symbol of `exchangeInfo`; its filters differ in form, hence they are read by their type."""

    symbol: str
    status: str
    contract_type: str
    quote_asset: str
    margin_asset: str
    filters: list[dict[str, Any]]


class ExchangeInfo(_Wire, frozen=True):
    rate_limits: list[RateLimitRow]
    symbols: list[InstrumentRow]


class PriceRow(_Wire, frozen=True):
    """The last price: `ticker/price`, or `ticker/24hr`, which calls it `lastPrice`."""

    symbol: str
    price: str = ""
    last_price: str = ""
    time: int = 0
    close_time: int = 0
