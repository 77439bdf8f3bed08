"""The walk from one slot that can change anything to the next: gates, signals that trade, what ends a position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from actors.fast_path.answers import TOO_FEW, Answers
from actors.fast_path.books import Books
from actors.fast_path.slots import Slots
from actors.fast_path.track import Track
from actors.fast_path.unserved import Unserved
from core import risk
from core.candles import CandleColumns
from core.errors import Reason
from core.order import Leg
from core.position import FLAT, OrderSide, Position, Side
from core.quiet import ANY_PRICE
from core.signal import Action, Signal
from core.sizing import size_entry
from core.strategy import ACTION_CODES, NOT_EVALUATED
from core.tick import Plan, TickEnd, plan, refused_end
from core.timeframe import from_ms
from exchanges.paper.adapter import NO_VOLUME
from exchanges.paper.book import Opening, market_price, share_of
from schema.ops import closing_side

Outcome = tuple[str, str]
"""Status and reason of a tick row, as a backtest counts them."""

_SIGNALS: Final = {code: Signal(action=action) for action, code in ACTION_CODES.items()}
_HOLD: Final = ACTION_CODES[Action.HOLD]
_SKIPPED: Final[Mapping[int, Outcome]] = {
    TOO_FEW: (TickEnd.SKIPPED, Reason.TOO_FEW_CANDLES),
    NOT_EVALUATED: (TickEnd.SKIPPED, Reason.CANDLE_GAP),
}
_NOTHING: Final = Decimal(0)
# Looked up once: an enum's member costs more than the comparison it is for.
_EXIT, _BUY, _SELL, _LONG, _OK, _BLOCKED = (
    Leg.EXIT,
    OrderSide.BUY,
    OrderSide.SELL,
    Action.LONG,
    TickEnd.OK,
    TickEnd.BLOCKED,
)
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
        self._ended: Counter[Outcome] = Counter()
        self._plans: dict[tuple[Side | None, int, Reason | None], Plan] = {}
        self._answers = answers
        self._slots = slots
        self._candles = candles
        self._codes, self._closes = answers.codes.data, candles.close.data
        # Without a hole, candles and slots are numbered alike.
        reach = int(candles.open_time[-1] - candles.open_time[0]) // slots.timeframe.ms + 1
        self._offset = len(candles) - slots.count if reach == len(candles) else None
        self._track = track
        # A candle that closes after the last slot is nobody's any more.
        self._end = track.number(slots.ms(slots.count - 1) - track.timeframe.ms + 1)
        self._seen = 0
        self._trading = {
            side: frozenset(code for code in _SIGNALS if self._plan(side, code, None).legs)
            for side in _SAMPLES
        }
        self._flipping = {
            side
            for side, codes in self._trading.items()
            if any(len(self._plan(side, code, None).legs) > 1 for code in codes)
        }
        self._idle: dict[Side | None, tuple[list[int], list[int]]] = {side: ([], []) for side in _SAMPLES}

    def to_the_end(self) -> None:
        number = 0
        while number < self._slots.count:
            flat = self.books.position.is_flat
            number = self._while_flat(number) if flat else self._while_open(number)

    def ticks(self) -> dict[Outcome, int]:
        """Tick rows by status and reason."""
        found = Counter(self._ended)
        for side, (starts, stops) in self._idle.items():
            for code, count in self._answers.counts(starts, stops).items():
                found[self._outcome(side, code)] += count
        return {(str(end), str(reason)): count for (end, reason), count in found.items() if count}

    def _while_flat(self, number: int) -> int:
        """Past the next stretch that a gate shuts, or the next entry; the slot after it."""
        now = self._slots.at(number)
        shut = self.books.gate(now)
        if shut is not None:
            until = risk.shut_until(self.books.state, self.books.limits, now, shut)
            after = self._slots.count if until is None else self._slots.from_on(until)
            after = min(max(after, number + 1), self._slots.count)
            self._ended[_BLOCKED, shut] += after - number
            self.hidden.append((number, after))
            return after
        signal = self._answers.next_of(self._trading[None], number)
        self._pass(None, number, signal)
        if signal < self._slots.count:
            self._seen = self._track.number(self._slots.ms(signal))
            self._tick(signal, self._slots.at(signal), None)
        return signal + 1

    def _while_open(self, number: int) -> int:
        """Past the next signal that trades, or the next candle that does something to the position."""
        side = self.books.position.side
        signal = self._answers.next_of(self._trading[side], number)
        met = self._next_met(signal)
        if met is None:
            self._pass(side, number, signal)
            if signal < self._slots.count:
                self._seen = self._track.number(self._slots.ms(signal))
                now = self._slots.at(signal)
                # What an exit alone meets, gates do not ask about.
                flips = side in self._flipping
                self._tick(signal, now, self.books.gate(now) if flips else None)
            return signal + 1
        close_ms = self._track.close_ms(met)
        slot = self._slots.from_ms_on(close_ms)
        self._pass(side, number, slot)
        at_slot = self._slots.ms(slot) == close_ms
        # A slot is claimed before what its closing candle did is booked: gates are asked of the state before.
        now = from_ms(close_ms)
        blocked = self.books.gate(now) if at_slot else None
        self.books.meet(self._track.candle(met), now, self._track.funding_at(met))
        self._seen = met + 1
        if not at_slot:
            return slot
        self._tick(slot, now, blocked)
        return slot + 1

    def _next_met(self, signal: int) -> int | None:
        """The first candle closing by the slot of `signal` that touches the position or settles funding on it."""
        if self.books.quiet == ANY_PRICE and not self._track.funds:
            return None
        stop = self._end
        if signal < self._slots.count:
            stop = min(stop, self._track.number(self._slots.ms(signal) - self._track.timeframe.ms + 1))
        met = self._track.leaves(self.books.quiet, self._seen, stop)
        met = self._track.next_funding(self._seen, met)
        return met if met < stop else None

    def _pass(self, side: Side | None, start: int, stop: int) -> None:
        """Slots that change nothing."""
        if start < stop:
            starts, stops = self._idle[side]
            starts.append(start)
            stops.append(stop)

    def _tick(self, number: int, now: datetime, blocked: Reason | None) -> None:
        """One slot looked at by itself."""
        code = self._codes[number]
        idle = code == _HOLD or code in _SKIPPED
        outcome = self._outcome(None, code) if idle else self._trade(number, code, now, blocked)
        if outcome is not None:
            self._ended[outcome] += 1

    def _outcome(self, side: Side | None, code: int) -> Outcome:
        """The tick row of a slot at which nothing is to be traded."""
        if code in _SKIPPED:
            return _SKIPPED[code]
        planned = self._plan(side, code, None)
        return _row(planned.end, planned.reason)

    def _trade(self, number: int, code: int, now: datetime, blocked: Reason | None) -> Outcome | None:
        """A signal that may trade, from its first leg to its tick row; None where the replay ends before it."""
        planned = self._plan(self.books.position.side, code, blocked)
        if not planned.legs:
            return _row(planned.end, planned.reason)
        opening = self._track.opening(now, self._slots.ms(number), self._seen)
        taken, last = _NOTHING, number == self._slots.count - 1
        if planned.legs[0] is Leg.EXIT:
            if opening is None and last:
                return None
            taken = self._exit(opening, now)
        if planned.legs[-1] is Leg.EXIT:
            return _row(_OK, None)
        return self._enter(number, _SIGNALS[code], now, opening, taken)

    def _exit(self, opening: Opening | None, now: datetime) -> Decimal:
        """Closes the position at the opening; what of its volume that took."""
        books, position = self.books, self.books.position
        if opening is None:
            raise Unserved(f"There is no price for the exit of {now:%Y-%m-%d %H:%M} UTC.")
        if position.size < books.rules.min_quantity or self._most(opening, position.size) < position.size:
            raise Unserved(f"The exit of {now:%Y-%m-%d %H:%M} UTC is not filled whole.")
        books.leave(market_price(closing_side(position), opening.price, books.terms, books.rules), now)
        return position.size

    def _enter(
        self, number: int, signal: Signal, now: datetime, opening: Opening | None, taken: Decimal
    ) -> Outcome | None:
        """Sizes, reserves and fills an entry. `taken`: what the exit before it took of the opening's volume."""
        books = self.books
        price = books.rules.price_of(self._close(number))
        sized = size_entry(
            settings=books.run.settings, signal=signal, price=price, money=books.money, rules=books.rules
        )
        refused = sized if isinstance(sized, Reason) else books.reserve(sized, price, now)
        if refused is not None or isinstance(sized, Reason):
            assert refused is not None
            return _row(refused_end(refused, acted=taken > 0), refused)
        if opening is None:
            # It is tried in vain, then given up; the end of the replay comes before that.
            books.release(now)
            last = number == self._slots.count - 1
            return None if last else _row(TickEnd.ERROR, Reason.NOT_FILLED)
        quantity = min(sized.quantity, self._most(opening, sized.quantity + taken) - taken)
        if quantity <= 0:
            books.release(now)
            return _row(_OK, NO_VOLUME)
        side = _BUY if signal.action is _LONG else _SELL
        filled_at = market_price(side, opening.price, books.terms, books.rules)
        books.enter(side, quantity, filled_at, sized.leverage, now)
        return _row(_OK, None)

    def _most(self, opening: Opening, wanted: Decimal) -> Decimal:
        """What an account may take of the opening's volume, exactly only where it may be less than `wanted`."""
        terms = self.books.terms
        if opening.volume * float(terms.participation_pct) > 200 * float(wanted):
            return wanted
        return share_of(opening.volume, terms, self.books.rules.market_step_size)

    def _plan(self, side: Side | None, code: int, blocked: Reason | None) -> Plan:
        key = (side, code, blocked)
        planned = self._plans.get(key)
        if planned is None:
            planned = self._plans[key] = plan(
                run=self.books.run, position=_SAMPLES[side], signal=_SIGNALS[code], blocked=blocked
            )
        return planned

    def _close(self, number: int) -> float:
        """The close of the candle that ends at a slot."""
        if self._offset is not None:
            return self._closes[number + self._offset]
        opened = self._slots.ms(number) - self._slots.timeframe.ms
        return self._closes[int(self._candles.open_time.searchsorted(opened))]


def _row(end: TickEnd, reason: str | None) -> Outcome:
    return (end, reason or "")
