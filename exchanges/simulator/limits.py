"""Request and order budgets of a venue minute, refusals beyond them, and bans for who does not stop."""

from __future__ import annotations

from collections import defaultdict

import msgspec

MINUTE_MS = 60_000
_VIOLATIONS_TO_BAN = 50
BAN_MS = 120_000


class Ceilings(msgspec.Struct, kw_only=True):
    """Weight a minute and address, orders in ten seconds and a minute and account. 0: without end."""

    weight: int = 2400
    orders_10s: int = 300
    orders_1m: int = 1200


class Limits:
    """Windows are of venue time, so at rate 60 a minute is a second, like everything on the wire."""

    def __init__(self, ceilings: Ceilings | None = None) -> None:
        self.ceilings = ceilings or Ceilings()
        self.banned_until_ms = 0
        self._minute = -1
        self._weight = 0
        self._violations = 0
        self._orders: dict[tuple[str, int], tuple[int, int]] = defaultdict(lambda: (-1, 0))

    def spend(self, weight: int, now_ms: int) -> bool:
        """Counts a request; False: over the limit. Going on all the same ends in a ban."""
        minute = now_ms // MINUTE_MS
        if minute != self._minute:
            self._minute, self._weight, self._violations = minute, 0, 0
        self._weight += weight
        if not self.ceilings.weight or self._weight <= self.ceilings.weight:
            return True
        self._violations += 1
        if self._violations > _VIOLATIONS_TO_BAN:
            self.ban(now_ms + BAN_MS)
        return False

    def ban(self, until_ms: int) -> None:
        self.banned_until_ms = until_ms

    def is_banned(self, now_ms: int) -> bool:
        return now_ms < self.banned_until_ms

    @property
    def used_weight(self) -> int:
        return self._weight

    def spend_orders(self, account: str, count: int, now_ms: int) -> tuple[int, int] | None:
        """Orders of the account in this ten seconds and this minute; None: over a limit, and not counted."""
        in_10s = self._count(account, 10_000, now_ms) + count
        in_1m = self._count(account, MINUTE_MS, now_ms) + count
        for used, most in ((in_10s, self.ceilings.orders_10s), (in_1m, self.ceilings.orders_1m)):
            if most and used > most:
                return None
        self._orders[account, 10_000] = (now_ms // 10_000, in_10s)
        self._orders[account, MINUTE_MS] = (now_ms // MINUTE_MS, in_1m)
        return in_10s, in_1m

    def _count(self, account: str, span_ms: int, now_ms: int) -> int:
        window, count = self._orders[account, span_ms]
        return count if window == now_ms // span_ms else 0
