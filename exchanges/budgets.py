"""Who may send next to one host, and when: weight of the address, orders of accounts, pauses, turns. Pure.

Seconds are venue time, passed in. What is free goes by purpose first, closing before all else; within a purpose
tenants take turns, a request each. Nothing waits without bound: queues are short, and whoever waits gives up in time.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Final, Protocol

import msgspec

from exchanges.limits import Limits, Said
from exchanges.wire import Cost, Purpose

SLICES: Final = 20
MAX_QUEUED: Final = 64
"""Requests of one tenant and purpose that wait."""
MAX_ACCOUNTS: Final = 10_000
"""Beyond these, accounts that have sent no order lately are forgotten."""
CEILINGS: Final = {Purpose.CLOSING: 1.0, Purpose.LOOK_UP: 0.95, Purpose.ENTRY: 0.9, Purpose.READ: 0.7}
"""How full a budget may get by each purpose: the last tenth is for closing and looking up."""


class Window:
    """What was used lately: never more than `limit` in any `window_s`, at the price of up to 1/20 of the window."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self._slice_s = window_s / SLICES
        self._slices: deque[list[int]] = deque()
        """[number of the slice, used in it], at most SLICES + 1."""
        self._used = 0

    def used(self, now_s: float) -> int:
        # A slice counts until its last moment is a whole window ago.
        oldest = int(now_s // self._slice_s) - SLICES
        while self._slices and self._slices[0][0] < oldest:
            self._used -= self._slices.popleft()[1]
        return self._used

    def seen(self, now_s: float) -> int:
        """As `used`, for another thread to read: it drops nothing."""
        oldest = int(now_s // self._slice_s) - SLICES
        return sum(amount for number, amount in tuple(self._slices) if number >= oldest)

    def add(self, amount: int, now_s: float) -> None:
        self.used(now_s)
        number = int(now_s // self._slice_s)
        if self._slices and self._slices[-1][0] >= number:
            self._slices[-1][1] += amount
        else:
            self._slices.append([number, amount])
        self._used += amount

    def fits_at(self, amount: int, share: float, now_s: float) -> float:
        """When `amount` fits under this share of the limit: now, later, or never (`inf`)."""
        ceiling = int(self.limit * share)
        over = self.used(now_s) + amount - ceiling
        if over <= 0:
            return now_s
        for number, amount_then in self._slices:
            over -= amount_then
            if over <= 0:
                return (number + SLICES + 1) * self._slice_s
        return float("inf")

    def saw(self, used: int, now_s: float) -> None:
        """The venue has counted `used`: what goes beyond our own count was somebody else's on this address."""
        beyond = used - self.used(now_s)
        if beyond > 0:
            self.add(beyond, now_s)


class Ticket:
    """A request that waits for its turn, compared by identity."""

    __slots__ = ("account", "cost", "tenant")

    def __init__(self, *, tenant: str, account: str, cost: Cost) -> None:
        self.tenant = tenant
        self.account = account
        self.cost = cost


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """Weight that this process alone may use until `ends_in_s` from now; what is not used by then is gone."""

    weight: int
    ends_in_s: float
    banned_until: datetime | None = None


class SharedBudget(Protocol):
    """The weight of a host (name and port) among all processes. Raises RunnerError where it cannot be asked."""

    def banned_until(self, host: str) -> datetime | None:
        """As far as this process has heard by now; asks nobody."""
        ...

    async def take(self, host: str, limits: Limits, wanted: int) -> Share:
        """At most `wanted` of what is left of the present window; 0 where it is used up."""
        ...

    async def ban(self, host: str, until: datetime) -> None:
        """Tell every process; an earlier end than one known changes nothing."""
        ...


class HeldShare:
    """What this process has been given of the shared weight.

    Without a share, for want of the database or because it is being asked, only closing requests go, up to the last
    chunk given: the tenth that shares leave free is for them.
    """

    def __init__(self, limits: Limits) -> None:
        self.chunk = max(10, limits.shared_weight // 20)
        self._window_s = limits.shared_window_s
        self._left = 0
        self._ends_s = float("-inf")
        self._closing = Window(self.chunk, limits.window_s)

    def fits(self, cost: Cost, now_s: float) -> bool:
        if now_s < self._ends_s and cost.weight <= self._left:
            return True
        return cost.purpose is Purpose.CLOSING and self._closing.fits_at(cost.weight, 1.0, now_s) <= now_s

    def use(self, cost: Cost, now_s: float) -> None:
        if now_s < self._ends_s and cost.weight <= self._left:
            self._left -= cost.weight
        else:
            self._closing.add(cost.weight, now_s)

    def is_short(self, weight: int, now_s: float) -> bool:
        """Whether to ask for more, with a request of `weight` at hand."""
        return now_s >= self._ends_s or self._left < max(self.chunk / 2, weight)

    def given(self, share: Share, asked_s: float) -> None:
        """`asked_s`: when it was asked for, so that its end is not taken later than it is."""
        ends_s = asked_s + share.ends_in_s
        # Both ends are known to within the time of an answer.
        if abs(ends_s - self._ends_s) < self._window_s / 2:
            self._left += share.weight
            self._ends_s = min(ends_s, self._ends_s)
        else:
            self._left, self._ends_s = share.weight, ends_s


class HostBudget:
    """The budgets of one host and its accounts, and who waits for them."""

    def __init__(self, limits: Limits, *, shared: bool = False) -> None:
        self._limits = limits
        self._weight = Window(limits.weight, limits.window_s)
        self.held = HeldShare(limits) if shared else None
        self._accounts: dict[str, tuple[Window, ...]] = {}
        self._paused_s = float("-inf")
        self._account_paused_s: dict[str, float] = {}
        # Tenants in the order of their turns, each with what it waits for; one ring a purpose.
        self._rings: dict[Purpose, dict[str, deque[Ticket]]] = {purpose: {} for purpose in Purpose}

    def try_take(self, ticket: Ticket, now_s: float) -> bool:
        """Whether it may go at once: it fits, and nobody of its purpose or a more urgent one waits."""
        for purpose in Purpose:
            if purpose <= ticket.cost.purpose and self._rings[purpose]:
                return False
        if self._ready_at(ticket, now_s) > now_s or self._host_at(ticket.cost, now_s) > now_s:
            return False
        self._take(ticket, now_s)
        return True

    def queue(self, ticket: Ticket) -> bool:
        """False: its tenant has too many waiting."""
        waiting = self._rings[ticket.cost.purpose].setdefault(ticket.tenant, deque())
        if len(waiting) >= MAX_QUEUED:
            return False
        waiting.append(ticket)
        return True

    def give_up(self, ticket: Ticket) -> None:
        ring = self._rings[ticket.cost.purpose]
        waiting = ring.get(ticket.tenant)
        if waiting is not None and ticket in waiting:
            waiting.remove(ticket)
            if not waiting:
                del ring[ticket.tenant]

    def let_in(self, now_s: float) -> tuple[list[Ticket], float]:
        """Who may go now, in order, and when to ask again (`inf`: nobody waits, or for a share alone)."""
        granted: list[Ticket] = []
        wake_s = float("inf")
        for ring in self._rings.values():
            blocked_s = self._turns(ring, granted, now_s)
            wake_s = min(wake_s, blocked_s[0])
            if blocked_s[1]:
                # What a more urgent purpose waits for is not given to a lesser one.
                break
        return granted, wake_s

    def wait_s(self, ticket: Ticket, now_s: float) -> float:
        """Seconds until this one could go at the earliest."""
        at_s = max(self._ready_at(ticket, now_s), self._host_at(ticket.cost, now_s))
        return self._limits.window_s if at_s == float("inf") else at_s - now_s

    def said(self, account: str, said: Said, now_s: float) -> None:
        """What an answer told; every tenant keeps to it."""
        if said.weight_used is not None:
            self._weight.saw(said.weight_used, now_s)
        if any(said.orders):
            for window, count in zip(self._windows(account, now_s), said.orders, strict=True):
                if count:
                    window.saw(count, now_s)
        if said.host_pause_s is not None:
            self._paused_s = max(self._paused_s, now_s + said.host_pause_s)
        if said.account_pause_s is not None:
            self._account_paused_s = {
                name: until_s for name, until_s in self._account_paused_s.items() if until_s > now_s
            }
            until_s = max(self._account_paused_s.get(account, now_s), now_s + said.account_pause_s)
            self._account_paused_s[account] = until_s

    def seen(self, now_s: float) -> tuple[int, float]:
        """The weight used in this window and the seconds left of a pause, for another thread to read."""
        return self._weight.seen(now_s), max(0.0, self._paused_s - now_s)

    def all_waiting(self) -> list[Ticket]:
        return [ticket for ring in self._rings.values() for queue in ring.values() for ticket in queue]

    def _turns(
        self, ring: dict[str, deque[Ticket]], granted: list[Ticket], now_s: float
    ) -> tuple[float, bool]:
        """Grants in turns; answers when to try again and whether the host itself is what is short."""
        wake_s = float("inf")
        again = True
        while again:
            again = False
            for tenant, waiting in list(ring.items()):
                ticket, ready_s = self._first_ready(waiting, now_s)
                if ticket is None:
                    # Its accounts are what is short: the others do not wait for them, and it keeps its place.
                    wake_s = min(wake_s, ready_s)
                    continue
                host_s = self._host_at(ticket.cost, now_s)
                if host_s > now_s:
                    return min(wake_s, host_s), True
                self._take(ticket, now_s)
                granted.append(ticket)
                waiting.remove(ticket)
                del ring[tenant]
                if waiting:
                    ring[tenant] = waiting
                again = True
        return wake_s, False

    def _first_ready(self, waiting: deque[Ticket], now_s: float) -> tuple[Ticket | None, float]:
        earliest_s = float("inf")
        for ticket in waiting:
            ready_s = self._ready_at(ticket, now_s)
            if ready_s <= now_s:
                return ticket, now_s
            earliest_s = min(earliest_s, ready_s)
        return None, earliest_s

    def _ready_at(self, ticket: Ticket, now_s: float) -> float:
        """When the account allows it."""
        ready_s = self._account_paused_s.get(ticket.account, now_s) if self._account_paused_s else now_s
        if ticket.cost.orders:
            share = CEILINGS[ticket.cost.purpose]
            for window in self._windows(ticket.account, now_s):
                ready_s = max(ready_s, window.fits_at(ticket.cost.orders, share, now_s))
        return max(ready_s, now_s)

    def _host_at(self, cost: Cost, now_s: float) -> float:
        """When the address allows it; `inf` where only a share can help."""
        if self._paused_s > now_s:
            return self._paused_s
        if cost.weight and self.held is not None and not self.held.fits(cost, now_s):
            return float("inf")
        return self._weight.fits_at(cost.weight, CEILINGS[cost.purpose], now_s) if cost.weight else now_s

    def _take(self, ticket: Ticket, now_s: float) -> None:
        cost = ticket.cost
        if cost.weight:
            self._weight.add(cost.weight, now_s)
            if self.held is not None:
                self.held.use(cost, now_s)
        if cost.orders:
            for window in self._windows(ticket.account, now_s):
                window.add(cost.orders, now_s)

    def _windows(self, account: str, now_s: float) -> tuple[Window, ...]:
        windows = self._accounts.get(account)
        if windows is None:
            if len(self._accounts) >= MAX_ACCOUNTS:
                self._accounts = {
                    name: known
                    for name, known in self._accounts.items()
                    if any(window.used(now_s) for window in known)
                }
            windows = tuple([Window(limit.count, limit.window_s) for limit in self._limits.orders])
            self._accounts[account] = windows
        return windows
