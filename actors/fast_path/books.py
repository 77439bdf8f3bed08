"""What a run's fills and funding leave behind: position, money, risk, trades. Ledger and paper account in one.

Every rule is the actors': position arithmetic and risk from `core`, prices and triggers from the paper venue.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from actors.fast_path.rows import Rows
from actors.fast_path.unserved import Unserved
from core import risk
from core.candles import Candle
from core.errors import Reason
from core.market import SymbolRules
from core.order import Leg
from core.position import FLAT, Applied, Fill, OrderSide, RoundTrip, apply_fill, apply_funding, is_plausible
from core.protection import Protection, protection_at
from core.quiet import ANY_PRICE
from core.risk import RiskChange, RiskLimits, RiskState, risk_day
from core.run import Run
from core.sizing import Entry, Money, margin_and_fee_of
from core.timeframe import EPOCH, from_ms
from exchanges.feeds.base import FundingRate
from exchanges.paper.account import closing_fill, funding_amount
from exchanges.paper.book import Triggers, exact, quiet_range, touched, triggers
from exchanges.paper.terms import Terms
from exchanges.paper.trail import Trail
from schema.ledger.fills import exit_reason
from schema.ops import closing_side
from schema.records import Account, EquityPoint, OpenPosition, Trade, booked, protected

_INSIDE = timedelta(milliseconds=1)
_DAYS_KEPT = 2
"""A fill belongs to the risk day it was executed on: today's, or yesterday's by a millisecond."""
_EXIT = Leg.EXIT


class Books:
    """One run on one account. Moments are market time; `now` is when the ledger hears of what happened."""

    def __init__(
        self, *, run: Run, account: Account, terms: Terms, rules: SymbolRules, limits: RiskLimits
    ) -> None:
        self.run = run
        self.rules = rules
        self.terms = terms
        self.limits = limits
        self.state = RiskState()
        self.balance = account.balance
        self.position = FLAT
        self._leverage = run.settings.leverage
        self._protection = Protection()
        self._updated_at = EPOCH
        self.triggers: Triggers | None = None
        self.quiet = ANY_PRICE
        # Rows are made of these at the end, one kind at a time: in between they cost three times as much.
        self._ended: list[tuple[RoundTrip, Leg]] = []
        self._balances: list[tuple[datetime, Decimal]] = []
        self._account = account
        self._funded: datetime | None = None

    @property
    def money(self) -> Money:
        """Entries are made from flat: nothing is tied up."""
        account = self._account
        return Money(
            free_margin=self.balance,
            taker_fee_pct=account.taker_fee_pct,
            slippage_pct=account.slippage_pct,
            max_leverage=account.max_leverage,
            max_notional=account.max_notional,
        )

    def gate(self, now: datetime) -> Reason | None:
        return risk.gate(self.state, self.limits, now)

    def reserve(self, entry: Entry, price: Decimal, now: datetime) -> Reason | None:
        """The intent's transaction: why an entry decided on at `price` is refused, or None once it is reserved."""
        state = self._now(now)
        refused = risk.gate(state, self.limits, now)
        if refused is not None:
            return refused
        value = entry.quantity * price
        if margin_and_fee_of(value, entry.leverage, self._account.taker_fee_pct) > self.balance:
            return Reason.NO_FREE_MARGIN
        self.state = risk.reserve(state, now)
        return None

    def release(self, now: datetime) -> None:
        """The entry reserved just now ended with nothing filled."""
        self.state = risk.release(self.state, risk_day(now))

    def enter(self, side: OrderSide, quantity: Decimal, price: Decimal, leverage: int, now: datetime) -> None:
        """An entry fills, from flat, at the opening of its slot."""
        applied = apply_fill(FLAT, self._taken(side, quantity, price, now))
        position = applied.position
        self.position, self._updated_at = position, now
        self._leverage = leverage
        self._protection = protection_at(position.entry_price, side, self.run.settings)
        self._set_triggers()
        self._settle(applied, executed_at=now, now=now)

    def leave(self, price: Decimal, now: datetime) -> None:
        """The run's own exit fills whole, at the opening of its slot."""
        position = self.position
        fill = self._taken(closing_side(position), position.size, price, now)
        self._end(fill, _EXIT, now)

    def _taken(self, side: OrderSide, quantity: Decimal, price: Decimal, now: datetime) -> Fill:
        commission = self.terms.commission(quantity * price, maker=False)
        return Fill(
            trade_id="", side=side, quantity=quantity, price=price, commission=commission, executed_at=now
        )

    def meet(self, candle: Candle, now: datetime, rates: Sequence[FundingRate]) -> None:
        """A candle that closes now: what it touches ends the position, then funding is settled on what is left."""
        touch = None if self.triggers is None else touched(self.triggers, candle)
        if touch is not None:
            at = from_ms(candle.open_time_ms) if touch.at_open else now - _INSIDE
            fill = closing_fill(self.position, touch, at, terms=self.terms, rules=self.rules)
            self._end(fill, touch.leg, now)
        elif self.triggers is not None and self.triggers.trail is not None:
            self._trail(self.triggers.trail, candle, now)
        for rate in rates:
            self._fund(rate, exact(candle.close), now)

    def _trail(self, trail: Trail, candle: Candle, now: datetime) -> None:
        """The stop follows a candle that did not end the position."""
        moved = trail.after(candle)
        if moved is trail or self._protection.trailing is None:
            return
        trailing = msgspec.structs.replace(self._protection.trailing, best=moved.best)
        self._protection = msgspec.structs.replace(self._protection, trailing=trailing)
        self._updated_at = now
        self._set_triggers()

    def _set_triggers(self) -> None:
        self.triggers = triggers(
            self.position, self._protection, leverage=self._leverage, terms=self.terms, rules=self.rules
        )
        self.quiet = quiet_range(self.triggers)

    def open_position(self) -> OpenPosition | None:
        """What is left open, as its row."""
        if self.position.is_flat:
            return None
        run = self.run
        held = OpenPosition(
            run_id=run.id,
            user_id=run.user_id,
            account_id=self._account.id,
            symbol=run.strategy.symbol,
            leverage=self._leverage,
            position=self.position,
            updated_at=self._updated_at,
        )
        return protected(held, self._protection)

    def trades(self) -> Rows[Trade]:
        """Round trips as rows, in the order they ended."""

        def made() -> tuple[Trade, ...]:
            rows = [self._trade(number, *each) for number, each in enumerate(self._ended, start=1)]
            return tuple(sorted(rows, key=lambda trade: trade.exit_time))

        return Rows(len(self._ended), made)

    def equity(self) -> Rows[EquityPoint]:
        """The balance after everything that changed it, in the order it was booked."""
        account_id = self._account.id
        return Rows(
            len(self._balances),
            lambda: tuple(
                EquityPoint(account_id=account_id, at=at, balance=balance) for at, balance in self._balances
            ),
        )

    def _trade(self, number: int, trip: RoundTrip, leg: Leg) -> Trade:
        run = self.run
        return booked(
            trip,
            number,
            run_id=run.id,
            user_id=run.user_id,
            account_id=self._account.id,
            symbol=run.strategy.symbol,
            exit_reason=exit_reason(leg),
        )

    def _fund(self, funding: FundingRate, mark: Decimal, now: datetime) -> None:
        at = funding.at.replace(second=0, microsecond=0)
        position = self.position
        amount = funding_amount(position, at, rate=funding.rate, mark=mark)
        if amount is None or (self._funded is not None and self._funded >= at):
            return
        if not is_plausible(amount):
            raise Unserved(f"Funding of {amount} USDT cannot be.")
        self._funded = at
        applied = apply_funding(position, amount)
        self.position, self._updated_at = applied.position, now
        self._settle(applied, executed_at=at, now=now)

    def _end(self, fill: Fill, leg: Leg, now: datetime) -> None:
        """A fill that closes the whole position."""
        applied = apply_fill(self.position, fill)
        self.position = FLAT
        self.triggers = None
        self._settle(applied, executed_at=fill.executed_at, now=now)
        assert applied.round_trip is not None
        self._ended.append((applied.round_trip, leg))

    def _settle(self, applied: Applied, *, executed_at: datetime, now: datetime) -> None:
        """Money and risk of a fill or funding, as the ledger charges them."""
        if applied.realised:
            self.balance += applied.realised
            self._balances.append((executed_at, self.balance))
            self._take(
                risk.fill(
                    self._now(now), self.limits, delta=applied.realised, executed_at=executed_at, now=now
                )
            )
        if applied.round_trip is not None:
            self._take(risk.round_trip(self._now(now), self.limits, pnl=applied.round_trip.pnl, now=now))

    def _now(self, now: datetime) -> RiskState:
        """The state as every transaction finds it: a pause that has run out is over."""
        state = self.state
        return state if state.paused_until is None else risk.expire(state, self.limits, now)

    def _take(self, change: RiskChange) -> None:
        state = change.state
        if len(state.days) > _DAYS_KEPT:
            newest = sorted(state.days)[-_DAYS_KEPT:]
            state = msgspec.structs.replace(state, days={day: state.days[day] for day in newest})
        self.state = state
