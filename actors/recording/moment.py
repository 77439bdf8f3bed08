"""When a recorded statement looked at the time: at the beginning of its call, or at the end.

Transactions of the ledger say what times they saw. Some statements look by themselves: at midnight a claim belongs to
one day or the next, and a lease or a pause may run out while the database is asked. The recorded answer tells.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from actors.recording.replayed_runtime import ReplayedClock
from schema.memory import MemoryStore
from schema.records import Claim

SKEW = timedelta(minutes=1)
"""How far the clock a recording is kept by may be from the database's, in market time of a fast demo."""


class Moment:
    def __init__(self, store: MemoryStore, clock: ReplayedClock) -> None:
        self._store = store
        self._clock = clock
        self._end: tuple[datetime, float] | None = None

    def done_by(self, until: datetime, process_until_s: float) -> None:
        self._end = (until, process_until_s)

    def ask(self, name: str, recorded: bytes, ask: Callable[[], Any]) -> Any:
        """`ask()`, at the moment whose answer was recorded, where one was."""
        if self._end is None:
            return ask()
        match name:
            case "claim":
                self._go_to_claim(msgspec.json.decode(recorded, type=list[Claim] | None) or [])
                return ask()
            case "acquire":
                fence = ask()
                return self._at_end(ask) if fence is None and recorded != b"null" else fence
            case "expired_pauses":
                users = ask()
                return self._at_end(ask) if len(users) < _length(recorded) else users
            case "close_interrupted":  # closes at the end what it did not at the beginning
                closed = ask()
                return [*closed, *self._at_end(ask)] if len(closed) < _length(recorded) else closed
        return ask()

    def _at_end(self, ask: Callable[[], Any]) -> Any:
        assert self._end is not None
        self._clock.deed(*self._end, ())
        return ask()

    def _go_to_claim(self, claims: list[Claim]) -> None:
        """To when the leases had run out, on the day whose figures the claims show."""
        assert self._end is not None
        began, (until, process_until_s) = self._clock.at, self._end
        rows = [self._store.tables.runs[claim.run_id] for claim in claims]
        locked = any(self._clock.is_locked(row.locked_until) for row in rows)
        near = (began, until, until + SKEW, began - SKEW)
        shown = {day for claim in claims for day in claim.risk.days}
        if shown:
            at = next((each for each in near if each.date() in shown), began)
        else:
            figures = {day for row in rows for day in row.user.days}
            at = next((each for each in near if each.date() not in figures), began)
        if locked:
            self._clock.deed(at, process_until_s, ())
        else:
            self._clock.at = at


def _length(recorded: bytes) -> int:
    return len(msgspec.json.decode(recorded) or ())
