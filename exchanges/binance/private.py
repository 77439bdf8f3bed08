"""The user stream's messages → what they tell. Pure.

Source: USDⓈ-M Futures, "User Data Streams". TRADE_LITE repeats fills that ORDER_TRADE_UPDATE tells in full, and
MARGIN_CALL asks for nothing the stops do not do: both are passed over, as is any event not known here.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from core.ids import ClientOrderId, protection_leg
from core.order import Leg
from core.position import Fill
from exchanges.base import Execution, OrderNews, ProtectionMoved
from exchanges.binance.parse import Origin, origin_of, reason_of, side_of, status_of
from exchanges.binance.wire import Unreadable, number, positive, read, time_of

EVENTS: Final = "ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/ALGO_UPDATE"
_ENDED: Final = frozenset({"CANCELED", "EXPIRED", "REJECTED"})
"""How a conditional order ends that has not fired."""
_EXECUTED: Final = frozenset({"TRADE", "CALCULATED"})


class Traded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An execution whose commission may be in another asset than USDT. `order_id`: of the order at the venue."""

    symbol: str
    order_id: int
    origin: Origin
    fill: Fill
    commission_asset: str

    def execution(self, *, commission: Decimal, origin: Origin) -> Execution:
        """As news: `commission` in USDT, `origin` as far as it is known by now."""
        return Execution(
            symbol=self.symbol,
            fill=msgspec.structs.replace(self.fill, commission=commission),
            client_order_id=origin.client_order_id,
            venue_leg=origin.venue_leg,
        )


class FundingSettled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Funding was booked: the message names neither symbol nor id of the payment, the income history does."""

    at: datetime


class TriggerFired(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A stop or target of ours became the order `order_id` at the venue."""

    symbol: str
    order_id: int
    leg: Leg


class SettingsChanged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Leverage of a symbol, or a mode of the account (`symbol` None), was set by somebody."""

    symbol: str | None


class KeyExpired(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The stream tells nothing any more: a new listen key is due."""


class Untold(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An execution without a trade id: it is to be asked for."""

    at: datetime


Heard = (
    Traded
    | OrderNews
    | ProtectionMoved
    | FundingSettled
    | TriggerFired
    | SettingsChanged
    | KeyExpired
    | Untold
)


class _Order(msgspec.Struct, frozen=True):
    s: str
    c: str
    S: str
    x: str
    X: str
    i: int
    T: int
    l: str = "0"  # noqa: E741 - the venue's spelling
    L: str = "0"
    N: str | None = None
    n: str | None = None
    t: int = 0
    m: bool = False


class _Balances(msgspec.Struct, frozen=True):
    m: str = ""


class _AccountConfig(msgspec.Struct, frozen=True):
    s: str | None = None


class _Algo(msgspec.Struct, frozen=True):
    s: str
    caid: str
    X: str = ""
    ai: str | int | None = None


class _Event(msgspec.Struct, frozen=True):
    """Any event: what differs is left undecoded until it is known which."""

    e: str = ""
    E: int = 0
    T: int = 0
    o: msgspec.Raw = msgspec.Raw()
    a: msgspec.Raw = msgspec.Raw()
    ac: _AccountConfig | None = None
    data: msgspec.Raw = msgspec.Raw()


def hear(message: bytes) -> list[Heard]:
    """What a message tells, in order; an order's execution before the order's own news.

    Raises Unreadable or ImpossibleVenueData.
    """
    event = read(message, _Event)
    if not event.e and bytes(event.data).startswith(b"{"):
        event = read(bytes(event.data), _Event)
    match event.e:
        case "ORDER_TRADE_UPDATE":
            return _order(read(bytes(event.o), _Order))
        case "ALGO_UPDATE":
            return _algo(read(bytes(event.o), _Algo))
        case "ACCOUNT_UPDATE":
            if read(bytes(event.a), _Balances).m == "FUNDING_FEE":
                return [FundingSettled(at=time_of(event.T or event.E))]
            return []
        case "ACCOUNT_CONFIG_UPDATE":
            return [SettingsChanged(symbol=event.ac.s if event.ac else None)]
        case "listenKeyExpired":
            return [KeyExpired()]
        case _:
            return []


def _order(row: _Order) -> list[Heard]:
    origin = origin_of(row.c)
    heard: list[Heard] = []
    if row.x in _EXECUTED and number(row.l, "an executed quantity") != 0:
        heard.append(_traded(row, origin))
    if origin.client_order_id is not None:
        status = status_of(row.X)
        heard.append(
            OrderNews(
                symbol=row.s,
                client_order_id=ClientOrderId(row.c),
                venue_order_id=str(row.i),
                status=status,
                reason=reason_of(status, row.X),
            )
        )
    return heard


def _traded(row: _Order, origin: Origin) -> Traded | Untold:
    at = time_of(row.T)
    if row.t <= 0:
        return Untold(at=at)
    commission = number(row.n or "0", "a commission")
    if commission and not row.N:
        raise Unreadable(f"Binance names no asset of the commission of trade {row.t}.")
    fill = Fill(
        trade_id=str(row.t),
        side=side_of(row.S),
        quantity=positive(row.l, "an executed quantity"),
        price=positive(row.L, "an execution's price"),
        commission=commission,
        executed_at=at,
        maker=row.m,
    )
    return Traded(symbol=row.s, order_id=row.i, origin=origin, fill=fill, commission_asset=row.N or "")


def _algo(row: _Algo) -> list[Heard]:
    leg = protection_leg(row.caid)
    actual = str(row.ai or "")
    if leg is not None and not actual and row.X in _ENDED:
        return [ProtectionMoved(symbol=row.s, leg=Leg(leg), price=None)]
    if leg is None or not (actual.isascii() and actual.isdigit() and len(actual) < 20):
        return []
    return [TriggerFired(symbol=row.s, order_id=int(actual), leg=Leg(leg))]
