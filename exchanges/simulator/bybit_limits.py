"""Bybit's budgets: requests of an address in five seconds, then a ban; calls of an account and second by group."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from exchanges.simulator.limits import Ceilings, Limits

SECOND_MS = 1000
WINDOW_MS = 5 * SECOND_MS
BAN_MS = 10 * 60 * SECOND_MS
QUERIES_A_SECOND = 50


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers tell: calls of this kind a second, those left, and when the second ends."""

    limit: int
    left: int
    reset_at_ms: int
    is_over: bool


class BybitLimits(Limits):
    """`ceilings.weight`: requests of the address in five seconds; `orders_10s`: calls of an order group in ten.

    Windows are of venue time, like everything on the wire.
    """

    def __init__(self, ceilings: Ceilings | None = None) -> None:
        super().__init__(ceilings or Ceilings(weight=600, orders_10s=100, orders_1m=0))
        self._window = -1
        self._requests = 0
        self._second = -1
        self._calls: dict[tuple[str, str], int] = defaultdict(int)

    def spend(self, weight: int, now_ms: int) -> bool:
        """Counts requests; False: over the limit, and from now on banned."""
        window = now_ms // WINDOW_MS
        if window != self._window:
            self._window, self._requests = window, 0
        self._requests += weight
        if not self.ceilings.weight or self._requests <= self.ceilings.weight:
            return True
        self.ban(now_ms + BAN_MS)
        return False

    @property
    def used_weight(self) -> int:
        return self._requests

    def spend_call(self, account: str, group: str, *, is_order: bool, now_ms: int) -> Spent:
        second = now_ms // SECOND_MS
        if second != self._second:
            self._second = second
            self._calls.clear()
        limit = self.ceilings.orders_10s // 10 if is_order else QUERIES_A_SECOND * bool(self.ceilings.weight)
        used = self._calls[account, group]
        is_over = bool(limit) and used >= limit
        if not is_over:
            used = self._calls[account, group] = used + 1
        return Spent(
            limit=limit,
            left=max(limit - used, 0),
            reset_at_ms=(second + 1) * SECOND_MS,
            is_over=is_over,
        )
