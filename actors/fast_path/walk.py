"""The walk from one slot that can change anything to the next: gates, signals that trade, what ends a position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from actors.fast_path.answers import TOO_FEW, Answers
from actors.fast_path.books import Books
from actors.fast_path.slots import Slots
from actors.fast_path.track import Track
from actors.fast_path.unserved import Unserved
from core import risk
from core.candles import CandleColumns
from core.errors import Reason
from core.order import Acknowledged, Executed, Expired, Leg, Order, transition
from core.position import FLAT, Position, Side
from core.run import Run
from core.signal import Action, Signal
from core.strategy import ACTION_CODES, NOT_EVALUATED
from core.tick import Facts, Finish, Moved, Plan, Propose, Refused, Submit, TickEnd, advance, begin, plan
from exchanges.paper.account import order_fill
from exchanges.paper.adapter import NO_VOLUME
from exchanges.paper.book import Match, Opening, market_price, share_of

Outcome = tuple[str, str]
"""Status and reason of a tick row, as a backtest counts them."""

_SIGNALS: Final = {code: Signal(action=action) for action, code in ACTION_CODES.items()}
_HOLD: Final = ACTION_CODES[Action.HOLD]
_SKIPPED: Final[Mapping[int, Outcome]] = {
    TOO_FEW: (TickEnd.SKIPPED.value, Reason.TOO_FEW_CANDLES.value),
    NOT_EVALUATED: (TickEnd.SKIPPED.value, Reason.CANDLE_GAP.value),
}
_SAMPLES: Final = {
    None: FLAT,
    Side.LONG: Position(quantity=Decimal(1)),
    Side.SHORT: Position(quantity=Decimal(-1)),
}


class Walk:
    """`hidden`: stretches of slots in which gates kept the strategy from being asked."""

    def __init__(
        self, *, books: Books, answers: Answers, slots: Slots, candles: CandleColumns, track: Track
    ) -> None:
        self.books = books
        self.hidden: list[tuple[int, int]] = []
        self.ended: Counter[Outcome] = Counter()
        self._answers = answers
        self._slots = slots
        self._candles = candles
        self._track = track
        # A candle that closes after the last slot is nobody's any more.
        self._end = track.number(slots.ms(slots.count - 1) - track.timeframe.ms + 1)
        self._seen = 0
        self._trading = {
            side: frozenset(code for code in _SIGNALS if _planned(books.run, side, code).legs)
            for side in _SAMPLES
        }
        self._idle: dict[Side | None, tuple[list[int], list[int]]] = {side: ([], []) for side in _SAMPLES}

    def to_the_end(self) -> None:
        number = 0
        while number < self._slots.count:
            flat = self.books.held.position.is_flat
            number = self._while_flat(number) if flat else self._while_open(number)

    def ticks(self) -> dict[Outcome, int]:
        """Tick rows by status and reason."""
        found = Counter(self.ended)
        for side, (starts, stops) in self._idle.items():
            for code, count in self._answers.counts(starts, stops).items():
                found[_outcome(self.books.run, side, code)] += count
        return {outcome: count for outcome, count in found.items() if count}

    def _while_flat(self, number: int) -> int:
        """Past the next stretch that a gate shuts, or the next entry; the slot after it."""
        now = self._slots.at(number)
        shut = self.books.gate(now)
        if shut is not None:
            until = risk.shut_until(self.books.state, self.books.limits, now, shut)
            after = self._slots.count if until is None else self._slots.from_on(until)
            after = min(max(after, number + 1), self._slots.count)
            self.ended[TickEnd.BLOCKED.value, shut.value] += after - number
            self.hidden.append((number, after))
            return after
        signal = self._answers.next_of(self._trading[None], number)
        self._pass(None, number, signal)
        if signal < self._slots.count:
            self._seen = self._track.number(self._slots.ms(signal))
            self._tick(signal, None)
        return signal + 1

    def _while_open(self, number: int) -> int:
        """Past the next signal that trades, or the next candle that does something to the position."""
        side = self.books.held.position.side
        signal = self._answers.next_of(self._trading[side], number)
        met = self._next_met(signal)
        if met is None:
            self._pass(side, number, signal)
            if signal < self._slots.count:
                self._seen = self._track.number(self._slots.ms(signal))
                self._tick(signal, self.books.gate(self._slots.at(signal)))
            return signal + 1
        close_ms = self._track.close_ms(met)
        slot = self._slots.from_ms_on(close_ms)
        self._pass(side, number, slot)
        at_slot = self._slots.ms(slot) == close_ms
        # A slot is claimed before what its closing candle did is booked: gates are asked of the state before.
        blocked = self.books.gate(self._slots.at(slot)) if at_slot else None
        self.books.meet(self._track.candle(met), close_ms, self._track.funding_at(met))
        self._seen = met + 1
        if not at_slot:
            return slot
        self._tick(slot, blocked)
        return slot + 1

    def _next_met(self, signal: int) -> int | None:
        """The first candle closing by the slot of `signal` that touches the position or settles funding on it."""
        stop = self._end
        if signal < self._slots.count:
            stop = min(stop, self._track.number(self._slots.ms(signal) - self._track.timeframe.ms + 1))
        above, below = self.books.quiet
        met = self._track.leaves(above, below, self._seen, stop)
        met = self._track.next_funding(self._seen, met)
        return met if met < stop else None

    def _pass(self, side: Side | None, start: int, stop: int) -> None:
        """Slots that change nothing."""
        if start < stop:
            starts, stops = self._idle[side]
            starts.append(start)
            stops.append(stop)

    def _tick(self, number: int, blocked: Reason | None) -> None:
        """One slot looked at by itself."""
        code = int(self._answers.codes[number])
        if code == _HOLD or code in _SKIPPED:
            self.ended[_outcome(self.books.run, None, code)] += 1
        else:
            outcome = self._trade(number, _SIGNALS[code], blocked)
            if outcome is not None:
                self.ended[outcome] += 1

    def _trade(self, number: int, signal: Signal, blocked: Reason | None) -> Outcome | None:
        """A signal that may trade, from its first leg to its tick row; None where the replay ends before it."""
        now = self._slots.at(number)
        facts = Facts(
            run=self.books.run,
            position=self.books.held.position,
            money=self.books.money,
            rules=self.books.rules,
            price=self.books.rules.price_of(self._close(number)),
            signal=signal,
            slot=now,
            now=now,
            blocked=blocked,
        )
        opening = self._track.opening(self._slots.ms(number))
        taken = Decimal(0)
        working, effects = begin(facts)
        while True:
            effect = effects[-1]
            if isinstance(effect, Finish):
                return (effect.end.value, effect.reason or "")
            assert working is not None
            if isinstance(effect, Propose):
                order = effect.order
                refused = self.books.commit(order, now)
                news: Order | Refused | Moved = order if refused is None else Refused(refused)
            elif not isinstance(effect, Submit):
                raise Unserved(f"The exit of {now:%Y-%m-%d %H:%M} UTC was not filled whole.")
            elif opening is None:
                return self._without_price(number, effect.order)
            else:
                moved = self._filled(effect.order, opening, taken)
                taken += moved.filled_quantity
                news = Moved(moved)
            facts = msgspec.structs.replace(facts, position=self.books.held.position, money=self.books.money)
            working, effects = advance(working, news, facts)

    def _filled(self, order: Order, opening: Opening, taken: Decimal) -> Order:
        """The order as the paper venue leaves it at an opening; `taken`: the slot's share of volume used up."""
        books = self.books
        if order.reduce_only and order.quantity < books.rules.min_quantity:
            raise Unserved(f"An exit of {order.quantity} {order.symbol} is less than the venue takes.")
        share = share_of(opening.volume, books.terms, books.rules.market_step_size)
        quantity = min(order.quantity, share - taken)
        if quantity > 0:
            price = market_price(order.side, opening.price, books.terms, books.rules)
            match = Match(quantity=quantity, price=price)
            books.fill(order, order_fill(order, match, opening.at, books.terms), opening.at)
            order = transition(order, Executed(quantity, price)).order
        else:
            order = transition(order, Acknowledged("")).order
            if order.leg is Leg.ENTRY:
                books.release(opening.at, opening.at)
        return order if order.is_terminal else transition(order, Expired(NO_VOLUME)).order

    def _without_price(self, number: int, order: Order) -> Outcome | None:
        """No candle opens at the slot: an entry is tried in vain, then given up. The last slot's waits for good."""
        if number == self._slots.count - 1:
            return None
        now = self._slots.at(number)
        if order.leg is not Leg.ENTRY:
            raise Unserved(f"There is no price for the exit of {now:%Y-%m-%d %H:%M} UTC.")
        self.books.release(now, now)
        return (TickEnd.ERROR.value, Reason.NOT_FILLED.value)

    def _close(self, number: int) -> float:
        """The close of the candle that ends at a slot."""
        opened = self._slots.ms(number) - self._slots.timeframe.ms
        first = int(self._candles.open_time[0])
        place = (opened - first) // self._slots.timeframe.ms
        if place >= len(self._candles) or self._candles.open_time[place] != opened:
            place = int(self._candles.open_time.searchsorted(opened))
        return float(self._candles.close[place])


def _planned(run: Run, side: Side | None, code: int) -> Plan:
    return plan(run=run, position=_SAMPLES[side], signal=_SIGNALS[code], blocked=None)


def _outcome(run: Run, side: Side | None, code: int) -> Outcome:
    """The tick row of a slot at which nothing is to be traded."""
    if code in _SKIPPED:
        return _SKIPPED[code]
    planned = _planned(run, side, code)
    return (planned.end.value, "" if planned.reason is None else planned.reason.value)
