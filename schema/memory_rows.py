"""Rows of the memory store: plain mutable objects, found by reference."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Any

from msgspec.structs import replace

from core.ids import ClientOrderId
from core.order import Order
from core.risk import DayRisk, RiskLimits, RiskState
from core.run import Run
from schema.records import Account, Ask, OpenPosition, TickRow, TickStatus

NEVER = float("-inf")


class AccountRow:
    __slots__ = ("account", "equity")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.equity: list[tuple[datetime, Any]] = []


class UserRow:
    """A user's risk; days apart, so that a state stays small however long the user trades."""

    __slots__ = ("_view", "_view_day", "days", "event_seq", "limits", "state")

    def __init__(self, limits: RiskLimits) -> None:
        self.limits = limits
        self.state = RiskState()
        self.days: dict[date, DayRisk] = {}
        self.event_seq = 0
        self._view: RiskState | None = None
        self._view_day: date | None = None

    def load(self, days: list[date]) -> RiskState:
        return replace(self.state, days={day: self.days[day] for day in days if day in self.days})

    def view(self, day: date) -> RiskState:
        """The state with that day alone, kept until something changes."""
        if self._view is None or self._view_day != day:
            self._view = self.load([day])
            self._view_day = day
        return self._view

    def forget_view(self) -> None:
        self._view = None


class RunRow:
    """A run with everything found through it. `locked_until` is process time."""

    __slots__ = (
        "account",
        "ask",
        "changed",
        "ended",
        "event_seq",
        "fence",
        "last_slot",
        "latest",
        "latest_count",
        "locked_until",
        "open_orders",
        "order_ids",
        "owner",
        "position",
        "previous_fence",
        "previous_slot",
        "run",
        "ticked_slot",
        "ticks",
        "trades",
        "user",
    )

    def __init__(self, run: Run, user: UserRow, account: AccountRow | None) -> None:
        self.run = run
        self.user = user
        self.account = account
        self.owner = ""
        self.ask: Ask | None = None
        self.changed = 0
        self.fence = self.previous_fence = 0
        self.locked_until = NEVER
        # The slot claimed last; the last with its row; and up to which every slot has one (`Claim.previous_slot`).
        self.last_slot = self.ticked_slot = self.previous_slot = run.last_slot
        self.ticks: dict[datetime, TickRow] = {}
        self.ended: Counter[tuple[TickStatus, str | None]] = Counter()
        # How the latest slots ended, all the same way, and how many they are: most ends repeat, and hashing costs.
        self.latest: tuple[TickStatus, str | None] | None = None
        self.latest_count = 0
        self.order_ids: list[ClientOrderId] = []
        self.open_orders: dict[ClientOrderId, Order] = {}
        self.position: OpenPosition | None = None
        self.event_seq = 0
        self.trades = 0

    def count(self, status: TickStatus, reason: str | None) -> None:
        """One more slot has ended so."""
        latest = self.latest
        if latest is not None and status is latest[0] and reason == latest[1]:
            self.latest_count += 1
            return
        if latest is not None:
            self.ended[latest] += self.latest_count
        self.latest, self.latest_count = (status, reason), 1

    def tick_counts(self) -> Counter[tuple[TickStatus, str | None]]:
        """Slots by (status, reason)."""
        counts = Counter(self.ended)
        if self.latest is not None:
            counts[self.latest] += self.latest_count
        return counts

    def current(self) -> Run:
        """The run as its row says, the last claimed slot included."""
        if self.run.last_slot is not self.last_slot:
            self.run = replace(self.run, last_slot=self.last_slot)
        return self.run
