"""Bybit's messages as it documents them: unknown fields ignored, numbers as text, "" or null for what is absent.

Source: Bybit v5 API documentation, pages named at each group.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from core.errors import RunnerError

T = TypeVar("T")
Text = str | None
"""A number or a word, written as text; "" and null mean that there is none."""


class Unreadable(RunnerError):
    """The venue's answer is not in its documented form; nothing of it was used."""


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Tolerates fields it does not know."""


class Envelope(_Wire, frozen=True, kw_only=True):
    """Around every REST answer. `retCode` is a number; some recorders quote it."""

    ret_code: int | str
    ret_msg: Text = ""
    result: msgspec.Raw = msgspec.Raw(b"{}")
    time: int | None = None


# order/create-order, order/cancel-order, order/cancel-all


class OrderAck(_Wire, frozen=True, kw_only=True):
    order_id: str
    order_link_id: Text = ""


# order/open-order, order/order-list, websocket/private/order


class OrderRow(_Wire, frozen=True, kw_only=True):
    symbol: str
    order_id: str
    side: str
    order_status: str
    qty: str
    order_link_id: Text = ""
    category: Text = ""
    order_type: Text = ""
    price: Text = ""
    avg_price: Text = ""
    time_in_force: Text = ""
    cancel_type: Text = ""
    reject_reason: Text = ""
    create_type: Text = ""
    stop_order_type: Text = ""
    leaves_qty: Text = ""
    cum_exec_qty: Text = ""
    cum_exec_value: Text = ""
    trigger_price: Text = ""
    trigger_direction: int = 0
    take_profit: Text = ""
    stop_loss: Text = ""
    reduce_only: bool = False
    close_on_trigger: bool = False
    position_idx: int = 0
    created_time: Text = ""
    updated_time: Text = ""


# order/execution, websocket/private/execution


class ExtraFee(_Wire, frozen=True, kw_only=True):
    fee_coin: Text = ""
    fee: Text = ""


class ExecutionRow(_Wire, frozen=True, kw_only=True):
    symbol: str
    exec_id: str
    order_id: str
    side: str
    exec_price: str
    exec_qty: str
    exec_time: str
    category: Text = ""
    order_link_id: Text = ""
    exec_type: Text = ""
    exec_fee: Text = ""
    fee_currency: Text = ""
    extra_fees: list[ExtraFee] | str | None = None
    is_maker: bool = False
    order_qty: Text = ""
    leaves_qty: Text = ""
    stop_order_type: Text = ""
    create_type: Text = ""
    closed_size: Text = ""


# position/position, websocket/private/position


class PositionRow(_Wire, frozen=True, kw_only=True):
    symbol: str
    size: str
    side: Text = ""
    position_idx: int = 0
    avg_price: Text = ""
    entry_price: Text = ""
    leverage: Text = ""
    mark_price: Text = ""
    liq_price: Text = ""
    take_profit: Text = ""
    stop_loss: Text = ""
    trailing_stop: Text = ""
    tpsl_mode: Text = ""
    trade_mode: int = 0
    position_status: Text = ""
    unrealised_pnl: Text = ""


# account/wallet-balance, websocket/private/wallet


class CoinRow(_Wire, frozen=True, kw_only=True):
    coin: str
    wallet_balance: Text = ""
    equity: Text = ""
    total_position_im: Text = msgspec.field(default="", name="totalPositionIM")
    total_order_im: Text = msgspec.field(default="", name="totalOrderIM")
    locked: Text = ""


class WalletRow(_Wire, frozen=True, kw_only=True):
    account_type: Text = ""
    total_available_balance: Text = ""
    total_equity: Text = ""
    coin: list[CoinRow] = []


# account/account-info, account/fee-rate, user/apikey-info


class AccountInfo(_Wire, frozen=True, kw_only=True):
    margin_mode: str
    unified_margin_status: int = 0


class FeeRateRow(_Wire, frozen=True, kw_only=True):
    symbol: str
    taker_fee_rate: str
    maker_fee_rate: str


class KeyInfo(_Wire, frozen=True, kw_only=True):
    read_only: int
    permissions: dict[str, list[str] | None]
    ips: list[str] | None = None
    expired_at: Text = ""


# position/close-pnl, account/transaction-log


class ClosedPnlRow(_Wire, frozen=True, kw_only=True):
    symbol: str
    order_id: str
    side: str
    closed_size: str
    avg_entry_price: str
    avg_exit_price: str
    closed_pnl: str
    updated_time: str
    exec_type: Text = ""


class TransactionRow(_Wire, frozen=True, kw_only=True):
    id: str
    type: str
    transaction_time: str
    symbol: Text = ""
    funding: Text = ""
    fee: Text = ""
    change: Text = ""
    cash_balance: Text = ""
    currency: Text = ""
    trade_id: Text = ""


# market/time, instrument, tickers, kline, recent-trade, history-fund-rate, risk-limit; websocket/public


class ServerTime(_Wire, frozen=True, kw_only=True):
    time_nano: str

    @property
    def time_ms(self) -> int:
        if not self.time_nano.isascii() or not self.time_nano.isdigit() or len(self.time_nano) != 19:
            raise Unreadable(f"The answer is a time that cannot be: {self.time_nano[:40]!r}.")
        return int(self.time_nano) // 1_000_000


class PriceFilter(_Wire, frozen=True, kw_only=True):
    tick_size: str


class LotSizeFilter(_Wire, frozen=True, kw_only=True):
    min_order_qty: str
    max_order_qty: str
    qty_step: Text = ""
    max_mkt_order_qty: Text = ""
    min_notional_value: Text = ""


class LeverageFilter(_Wire, frozen=True, kw_only=True):
    max_leverage: str


class Instrument(_Wire, frozen=True, kw_only=True):
    symbol: str
    status: str
    price_filter: PriceFilter
    lot_size_filter: LotSizeFilter
    leverage_filter: LeverageFilter | None = None
    quote_coin: Text = ""
    contract_type: Text = ""


class Ticker(_Wire, frozen=True, kw_only=True):
    symbol: str
    last_price: Text = ""
    mark_price: Text = ""
    funding_rate: Text = ""
    next_funding_time: Text = ""


class FundingRateRow(_Wire, frozen=True, kw_only=True):
    symbol: str
    funding_rate: str
    funding_rate_timestamp: str


class RiskTier(_Wire, frozen=True, kw_only=True):
    symbol: str
    risk_limit_value: str
    max_leverage: str
    maintenance_margin: Text = ""


class RecentTrade(_Wire, frozen=True, kw_only=True):
    exec_id: str
    symbol: str
    price: Decimal
    size: Decimal
    side: str
    time: str
    seq: Text = ""

    @property
    def number(self) -> int:
        seq = self.seq or ""
        return int(seq[:18]) if seq.isascii() and seq.isdigit() else 0


class KlineRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Start, open, high, low, close, and where it is of trades volume and turnover."""

    start: str
    open: str
    high: str
    low: str
    close: str
    volume: str = "0"


class StreamKline(_Wire, frozen=True, kw_only=True):
    start: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    confirm: bool


class StreamTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`S` is the taker's side, `seq` the venue's count over all of a symbol's messages."""

    T: int
    s: str
    S: str
    v: Decimal
    p: Decimal
    i: str
    seq: int = 0


class StreamTrades(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    data: list[StreamTrade]


class Topic(_Wire, frozen=True, kw_only=True):
    """Around every stream message; without a topic it answers a request of ours, then `op` and `success` say which."""

    topic: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    creation_time: int | None = None
    ts: int | None = None
    op: str = ""
    success: bool | None = None
    ret_msg: Text = msgspec.field(default="", name="ret_msg")
    ret_code: int | None = None


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True, gc=False):
    """A result's list, and where it goes on; the last page may name a cursor as well.

    A result without its list is none: it must not pass for an empty one.
    """

    rows: list[T] = msgspec.field(name="list")
    cursor: Text = msgspec.field(default="", name="nextPageCursor")


def read(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    """`body` as the decoder's type; raises Unreadable."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unreadable(f"The answer is not in its documented form: {error}.") from None
