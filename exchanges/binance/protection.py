"""Makes the wanted stop and target stand for a position, as conditional orders of their own.

They close a quantity, reduce-only, and not "the position": of those the venue takes one per direction, so that a new
stop could not stand before the old one goes. Only a position larger than one market order may be needs it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final

import msgspec

from core.ids import protection_id
from core.market import Rounding, SymbolRules
from core.order import Leg
from core.position import OrderSide, Side
from core.protection import Protection
from exchanges.binance import requests
from exchanges.binance.codes import Doing, Verdict
from exchanges.binance.line import NOT_FOUND, ORDER_TIMEOUT_S, Line, VenueTime, form
from exchanges.binance.parse import Trigger, TriggerStatus, held_quantity, position_side_of, trigger
from exchanges.binance.wire import AlgoCanceled, AlgoRow, PositionRow, read
from exchanges.errors import OutcomeUnknown, Refusal, Rejected, Unreachable

_LISTED_WITHIN_S: Final = 60.0
"""What was placed so short a time ago may not be listed yet, process seconds: only its id tells whether it stands."""
_LOOKS: Final = 3
_LOOK_AGAIN_S: Final = 1.0
_WORKS: Final = frozenset(
    {TriggerStatus.NEW, TriggerStatus.TRIGGERING, TriggerStatus.TRIGGERED, TriggerStatus.FINISHED}
)
_KINDS: Final = {
    Leg.STOP_LOSS: requests.TriggerKind.STOP_LOSS,
    Leg.TAKE_PROFIT: requests.TriggerKind.TAKE_PROFIT,
}


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is open. `side` in hedge mode only."""

    quantity: Decimal
    side: Side | None

    @property
    def closing_side(self) -> OrderSide:
        return OrderSide.SELL if self.quantity > 0 else OrderSide.BUY


class Protector:
    def __init__(self, line: Line, time: VenueTime, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._line = line
        self._time = time
        self._sleep = sleep
        self._serial = 0
        self._placed: dict[str, tuple[Trigger, float]] = {}
        """Not seen in a list since then, by id; as many as are placed within `_LISTED_WITHIN_S`."""

    async def standing(self, symbol: str) -> list[Trigger]:
        """Conditional orders of this service that stand in `symbol`."""
        call = requests.list_open_triggers(symbol)
        rows = await self._line.ask(call, _triggers, f"conditional orders in {symbol}")
        listed = [one for one in rows if one.leg is not None and one.stands]
        return [*listed, *await self._not_listed_yet(symbol, {one.client_algo_id for one in listed})]

    async def _not_listed_yet(self, symbol: str, listed: set[str]) -> list[Trigger]:
        """What was placed just now and is in no list: unless its id tells of its end it stands."""
        now_s = self._time.monotonic()
        for client_id, (_, placed_s) in list(self._placed.items()):
            if client_id in listed or now_s - placed_s > _LISTED_WITHIN_S:
                del self._placed[client_id]
        standing = []
        for client_id, (placed, _) in list(self._placed.items()):
            if placed.symbol != symbol:
                continue
            call = requests.get_trigger(client_algo_id=client_id)
            found = await self._line.attempt(
                call, _trigger, f"the {placed.leg} of {symbol}", allowed=NOT_FOUND
            )
            one = placed if isinstance(found, Verdict) else found
            if one.stands:
                standing.append(one)
            else:
                self._placed.pop(client_id, None)
        return standing

    async def protect(self, symbol: str, wanted: Protection, rules: SymbolRules) -> Protection:
        """What stands afterwards: `wanted` on the grid. Raises ExchangeError; then it is to be asked again."""
        held = await self._held(symbol)
        standing = await self.standing(symbol)
        if held is None:
            await self._cancel(standing)
            return Protection()
        stop = on_grid(wanted.stop_loss, rules, up=held.quantity > 0)
        target = on_grid(wanted.take_profit, rules, up=held.quantity < 0)
        for leg, price in ((Leg.STOP_LOSS, stop), (Leg.TAKE_PROFIT, target)):
            await self._make_stand(
                symbol, leg, price, held, rules, [one for one in standing if one.leg is leg]
            )
        return Protection(stop_loss=stop, take_profit=target)

    async def _make_stand(
        self,
        symbol: str,
        leg: Leg,
        price: Decimal | None,
        held: _Held,
        rules: SymbolRules,
        present: list[Trigger],
    ) -> None:
        size = abs(held.quantity)
        whole = size > rules.max_market_quantity
        right = [one for one in present if _is(one, price, size, held, whole=whole)][:1]
        outdated = [one for one in present if one not in right]
        if whole and not right:
            await self._cancel(outdated)
            outdated = []
        if price is not None and not right:
            await self._place(symbol, leg, price, held, whole=whole)
        await self._cancel(outdated)

    async def _place(self, symbol: str, leg: Leg, price: Decimal, held: _Held, *, whole: bool) -> None:
        self._serial += 1
        client_id = protection_id(leg.value, self._time.now(), self._serial)
        call = requests.place_trigger(
            kind=_KINDS[leg],
            symbol=symbol,
            side=held.closing_side,
            quantity=abs(held.quantity),
            trigger_price=price,
            close_all=whole,
            reduce_only=True,
            position_side=held.side,
            client_algo_id=client_id,
        )
        what = f"the {leg} of {symbol} at {price}"
        try:
            placed = await self._line.ask(
                call, _trigger, what, doing=Doing.PLACING, timeout_s=ORDER_TIMEOUT_S
            )
        except OutcomeUnknown as unknown:
            looked_up = await self._looked_up(client_id, what)
            if looked_up is None:
                raise unknown from None
            placed = looked_up
        if placed.status not in _WORKS:
            raise Rejected(Refusal.OTHER, f"Binance took {what} and ended it as {placed.status}.")
        self._placed[client_id] = (placed, self._time.monotonic())

    async def _looked_up(self, client_id: str, what: str) -> Trigger | None:
        """A conditional order of unknown outcome, once it can be seen; never sent again."""
        call = requests.get_trigger(client_algo_id=client_id)
        for _ in range(_LOOKS):
            await self._sleep(_LOOK_AGAIN_S)
            try:
                found = await self._line.attempt(call, _trigger, what, allowed=NOT_FOUND)
            except Unreachable:
                continue
            if not isinstance(found, Verdict):
                return found
        return None

    async def _cancel(self, ended: list[Trigger]) -> None:
        """What is gone already is as good as cancelled."""
        for one in ended:
            call = requests.cancel_trigger(client_algo_id=one.client_algo_id)
            what = f"the cancel of the {one.leg} of {one.symbol}"
            await self._line.attempt(call, form(AlgoCanceled), what, doing=Doing.CHANGING, allowed=NOT_FOUND)
            self._placed.pop(one.client_algo_id, None)

    async def _held(self, symbol: str) -> _Held | None:
        rows = await self._line.ask(
            requests.positions(symbol), form(list[PositionRow]), f"the position in {symbol}"
        )
        open_ = [row for row in rows if row.symbol == symbol and held_quantity(row)]
        if len(open_) > 1:
            sentence = (
                f"{symbol} is held long and short at once: prices alone do not say which one they protect."
            )
            raise Rejected(Refusal.MODE, sentence)
        if not open_:
            return None
        return _Held(quantity=held_quantity(open_[0]), side=position_side_of(open_[0].position_side))


def on_grid(price: Decimal | None, rules: SymbolRules, *, up: bool) -> Decimal | None:
    """Toward the entry for a stop; for a target never past what was wanted: for either the same direction."""
    if price is None:
        return None
    return max(rules.price(price, Rounding.UP if up else Rounding.DOWN), rules.tick_size)


def _is(one: Trigger, price: Decimal | None, size: Decimal, held: _Held, *, whole: bool) -> bool:
    covers = one.close_all if whole else one.quantity == size and not one.close_all
    place = one.side is held.closing_side and one.position_side is held.side
    return covers and place and one.trigger_price == price


def _trigger(body: bytes) -> Trigger:
    return trigger(read(body, AlgoRow))


def _triggers(body: bytes) -> list[Trigger]:
    return [trigger(row) for row in read(body, list[AlgoRow])]
