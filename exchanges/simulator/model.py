"""The words of the engine: orders, conditional orders, positions, trades, income, and what is told about them.

None of them is a venue's word; a face translates. Money is Decimal, times are venue milliseconds. The structs
are the engine's own live objects, changed in place: a listener takes what it needs from them before it returns.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

ZERO = Decimal(0)
QUOTE = "USDT"


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def other(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class PositionSide(StrEnum):
    """BOTH: the one position of one-way mode."""

    BOTH = "both"
    LONG = "long"
    SHORT = "short"


class OrderKind(StrEnum):
    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"


class OrderStatus(StrEnum):
    NEW = "new"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class Origin(StrEnum):
    """Who made an order: the client, a conditional order that fired, or the venue."""

    CLIENT = "client"
    CONDITIONAL = "conditional"
    LIQUIDATION = "liquidation"
    ADL = "adl"
    SETTLEMENT = "settlement"


class TriggerKind(StrEnum):
    STOP = "stop"
    TAKE_PROFIT = "take_profit"
    TRAILING = "trailing"


class TriggerStatus(StrEnum):
    NEW = "new"
    TRIGGERED = "triggered"
    FINISHED = "finished"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class TriggerBy(StrEnum):
    LAST = "last"
    MARK = "mark"


class IncomeKind(StrEnum):
    TRANSFER = "transfer"
    REALISED = "realised"
    COMMISSION = "commission"
    FUNDING = "funding"


class Reason(StrEnum):
    """Why a request is refused."""

    SYMBOL = "symbol"
    PRICE_TICK = "price_tick"
    PRICE_MIN = "price_min"
    PRICE_MAX = "price_max"
    PRICE_BAND_UP = "price_band_up"
    PRICE_BAND_DOWN = "price_band_down"
    QUANTITY_STEP = "quantity_step"
    QUANTITY_MIN = "quantity_min"
    QUANTITY_MAX = "quantity_max"
    NOTIONAL_MIN = "notional_min"
    MARGIN = "margin"
    REDUCE_ONLY = "reduce_only"
    POSITION_SIDE = "position_side"
    REDUCE_ONLY_IN_HEDGE = "reduce_only_in_hedge"
    DUPLICATE_ID = "duplicate_id"
    UNKNOWN_ORDER = "unknown_order"
    ORDER_ENDED = "order_ended"
    TOO_MANY_ORDERS = "too_many_orders"
    TOO_MANY_CONDITIONALS = "too_many_conditionals"
    WOULD_TRIGGER = "would_trigger"
    ACTIVATION_PRICE = "activation_price"
    POST_ONLY = "post_only"
    FILL_OR_KILL = "fill_or_kill"
    NOTHING_OPEN = "nothing_open"
    ALREADY_SO = "already_so"
    HAS_POSITION = "has_position"
    HAS_ORDERS = "has_orders"
    LEVERAGE = "leverage"
    LEVERAGE_CUT = "leverage_cut"
    POSITION_LIMIT = "position_limit"


class Refused(Exception):
    """The engine did nothing, and why."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """Protection that comes into being with the fill of an entry; absolute trigger prices."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    stop_by: TriggerBy = TriggerBy.LAST
    target_by: TriggerBy = TriggerBy.LAST


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for. `price` only of limit orders; market orders fill at the present price."""

    symbol: str
    side: Side
    kind: OrderKind
    quantity: Decimal
    client_id: str
    price: Decimal | None = None
    tif: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    position_side: PositionSide = PositionSide.BOTH
    attached: Attached | None = None


class ConditionalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order that waits for a price. `rises`: fires when the price comes up to the trigger, else down to it.

    Trailing: `callback_pct` or `callback_distance`, from the best price since `activation_price` was reached.
    `close_position` closes all that is open when it fires and has no quantity. `of_position`: it belongs to the
    position and ends with it.
    """

    symbol: str
    side: Side
    kind: TriggerKind
    client_id: str
    rises: bool
    quantity: Decimal | None = None
    trigger_price: Decimal | None = None
    limit_price: Decimal | None = None
    tif: TimeInForce = TimeInForce.GTC
    callback_pct: Decimal | None = None
    callback_distance: Decimal | None = None
    activation_price: Decimal | None = None
    by: TriggerBy = TriggerBy.LAST
    close_position: bool = False
    reduce_only: bool = False
    position_side: PositionSide = PositionSide.BOTH
    of_position: bool = False
    attached: Attached | None = None


class Order(msgspec.Struct, kw_only=True, eq=False):
    """An order and what became of it. `notional` is the sum of its fills; `reserved` margin held while it rests."""

    order_id: int
    account: str
    request: OrderRequest
    quantity: Decimal
    status: OrderStatus
    created_ms: int
    updated_ms: int
    created_s: float
    origin: Origin = Origin.CLIENT
    conditional_id: int | None = None
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    fees: Decimal = ZERO
    reserved: Decimal = ZERO
    reason: Reason | None = None

    @property
    def is_open(self) -> bool:
        return self.status is OrderStatus.NEW or self.status is OrderStatus.PARTLY_FILLED

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def average_price(self) -> Decimal:
        return self.notional / self.filled if self.filled else ZERO


class Conditional(msgspec.Struct, kw_only=True, eq=False):
    """A conditional order. `best` is a trailing order's best price, None until it is activated."""

    conditional_id: int
    account: str
    request: ConditionalRequest
    created_ms: int
    updated_ms: int
    created_s: float
    status: TriggerStatus = TriggerStatus.NEW
    best: Decimal | None = None
    triggered_ms: int = 0
    order_id: int | None = None
    reason: Reason | None = None


class Position(msgspec.Struct, kw_only=True, eq=False):
    """What an account holds. `quantity` is signed, `cost` = Σ price x quantity of what is open, signed alike."""

    account: str
    symbol: str
    side: PositionSide
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    margin: Decimal = ZERO
    realised: Decimal = ZERO
    opened_ms: int = 0
    updated_ms: int = 0

    @property
    def entry_price(self) -> Decimal:
        return self.cost / self.quantity if self.quantity else ZERO

    def unrealised(self, price: Decimal) -> Decimal:
        return price * self.quantity - self.cost


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One fill. `fee` is what was taken, in `fee_asset`; `realised` excludes it."""

    trade_id: int
    order_id: int
    client_id: str
    account: str
    symbol: str
    side: Side
    position_side: PositionSide
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    realised: Decimal
    closed: Decimal
    is_maker: bool
    at_ms: int
    created_s: float
    origin: Origin


class Income(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a wallet. Negative: taken."""

    income_id: int
    account: str
    kind: IncomeKind
    amount: Decimal
    asset: str
    symbol: str
    at_ms: int
    trade_id: int | None = None


class OrderChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An order came, filled (`trade`), or ended."""

    account: str
    order: Order
    at_ms: int
    trade: Trade | None = None


class ConditionalChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order came (status NEW, told once), fired, or ended."""

    account: str
    conditional: Conditional
    at_ms: int


class AccountChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet or a position changed: `cause` "order" or "funding"; told before the order change that caused it."""

    account: str
    cause: str
    position: Position | None
    change: Decimal
    at_ms: int


class LeverageChanged(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    symbol: str
    leverage: int
    at_ms: int


Event = OrderChanged | ConditionalChanged | AccountChanged | LeverageChanged
