"""Makes the wanted stops and target stand for a position, as conditional orders of their own.

They close a quantity, reduce-only, and not "the position": of those the venue takes one per direction, so that a new
stop could not stand before the old one goes. Only a position larger than one market order may be needs it. A trailing
stop is always of a quantity; one that has to be placed anew begins anew, which the venue knows no way around.
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
from core.protection import Protection, Trailing
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
    Leg.TRAILING_STOP: requests.TriggerKind.TRAILING_STOP,
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
        if wanted == Protection():  # mostly nothing stands then: one list is all that is asked for
            await self._cancel(await self.standing(symbol))
            return wanted
        held = await self._held(symbol)
        standing = await self.standing(symbol)
        if held is None:
            await self._cancel(standing)
            return Protection()
        stop = on_grid(wanted.stop_loss, rules, up=held.quantity > 0)
        target = on_grid(wanted.take_profit, rules, up=held.quantity < 0)
        by_leg = {leg: [one for one in standing if one.leg is leg] for leg in _KINDS}
        await self._make_stand(symbol, Leg.STOP_LOSS, stop, held, rules, by_leg[Leg.STOP_LOSS])
        trailing = await self._make_trail(symbol, wanted.trailing, held, rules, by_leg[Leg.TRAILING_STOP])
        await self._make_stand(symbol, Leg.TAKE_PROFIT, target, held, rules, by_leg[Leg.TAKE_PROFIT])
        return Protection(stop_loss=stop, take_profit=target, trailing=trailing)

    async def sweep(self, symbol: str) -> bool:
        """Listed first: mostly there is nothing, and then one request is enough."""
        standing = await self.standing(symbol)
        if not standing or await self._open(symbol):
            return False
        await self._cancel(standing)
        return True

    async def _make_trail(
        self,
        symbol: str,
        wanted: Trailing | None,
        held: _Held,
        rules: SymbolRules,
        present: list[Trigger],
    ) -> Trailing | None:
        if wanted is None:
            await self._cancel(present)
            return None
        size = abs(held.quantity)
        if size > rules.max_market_quantity:
            sentence = f"Binance trails {rules.max_market_quantity} of {symbol} at once, not {size}."
            raise Rejected(Refusal.MAX_QUANTITY, sentence)
        activation = on_grid(wanted.activation_price, rules, up=held.quantity < 0)
        assert activation is not None
        trailing = msgspec.structs.replace(wanted, activation_price=activation, measure=wanted.callback_pct)
        right = [one for one in present if _trails(one, trailing, size, held)][:1]
        if not right:
            await self._place_trail(symbol, trailing, held)
        await self._cancel([one for one in present if one not in right])
        return trailing

    async def _place_trail(self, symbol: str, trailing: Trailing, held: _Held) -> None:
        """The venue refuses an activation that the market has reached: then it trails at once."""
        if trailing.best is None:
            try:
                await self._place(
                    symbol,
                    Leg.TRAILING_STOP,
                    held,
                    callback_pct=trailing.callback_pct,
                    activation_price=trailing.activation_price,
                )
                return
            except Rejected as error:
                if error.refusal is not Refusal.WOULD_TRIGGER:
                    raise
        await self._place(symbol, Leg.TRAILING_STOP, held, callback_pct=trailing.callback_pct)

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
            await self._place(symbol, leg, held, trigger_price=price, whole=whole)
        await self._cancel(outdated)

    async def _place(
        self,
        symbol: str,
        leg: Leg,
        held: _Held,
        *,
        trigger_price: Decimal | None = None,
        callback_pct: Decimal | None = None,
        activation_price: Decimal | None = None,
        whole: bool = False,
    ) -> None:
        self._serial += 1
        client_id = protection_id(leg.value, self._time.now(), self._serial)
        call = requests.place_trigger(
            kind=_KINDS[leg],
            symbol=symbol,
            side=held.closing_side,
            quantity=abs(held.quantity),
            trigger_price=trigger_price,
            callback_pct=callback_pct,
            activation_price=activation_price,
            close_all=whole,
            reduce_only=True,
            position_side=held.side,
            client_algo_id=client_id,
        )
        what = f"the {leg} of {symbol} at {trigger_price or f'{callback_pct} %'}"
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
        open_ = await self._open(symbol)
        if len(open_) > 1:
            sentence = (
                f"{symbol} is held long and short at once: prices alone do not say which one they protect."
            )
            raise Rejected(Refusal.MODE, sentence)
        if not open_:
            return None
        return _Held(quantity=held_quantity(open_[0]), side=position_side_of(open_[0].position_side))

    async def _open(self, symbol: str) -> list[PositionRow]:
        """Of either side, whoever opened it."""
        rows = await self._line.ask(
            requests.positions(symbol), form(list[PositionRow]), f"the position in {symbol}"
        )
        return [row for row in rows if row.symbol == symbol and held_quantity(row)]


def on_grid(price: Decimal | None, rules: SymbolRules, *, up: bool) -> Decimal | None:
    """Toward the entry for a stop; for a target never past what was wanted: for either the same direction."""
    if price is None:
        return None
    return max(rules.price(price, Rounding.UP if up else Rounding.DOWN), rules.tick_size)


def _is(one: Trigger, price: Decimal | None, size: Decimal, held: _Held, *, whole: bool) -> bool:
    covers = one.close_all if whole else one.quantity == size and not one.close_all
    place = one.side is held.closing_side and one.position_side is held.side
    return covers and place and one.trigger_price == price


def _trails(one: Trigger, wanted: Trailing, size: Decimal, held: _Held) -> bool:
    """One that began at once, or had to, names as its activation none or the price of that time: beyond the wanted."""
    place = one.side is held.closing_side and one.position_side is held.side
    if not place or one.quantity != size or one.callback_pct != wanted.callback_pct:
        return False
    if wanted.best is not None or one.activation_price is None:
        return True
    beyond = (one.activation_price - wanted.activation_price) * held.quantity
    return beyond >= 0


def _trigger(body: bytes) -> Trigger:
    return trigger(read(body, AlgoRow))


def _triggers(body: bytes) -> list[Trigger]:
    return [trigger(row) for row in read(body, list[AlgoRow])]
