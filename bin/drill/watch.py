"""Looks at the leases again and again, on a thread of its own: when each claim was first seen, in process time."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime
from time import monotonic
from typing import Final

from core.ids import RunId
from schema import evidence

LOOK_EVERY_S: Final = 0.05
JOIN_S: Final = 15.0


class ClaimWatch:
    """`seen`: of the runs watched, the moments at which a later slot was found claimed."""

    def __init__(self, dsn: str, runs: Iterable[RunId]) -> None:
        self.seen: dict[RunId, list[float]] = {run_id: [] for run_id in runs}
        self.slots: set[datetime] = set()
        self._dsn = dsn
        self._last: dict[RunId, datetime] = {}
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._watch, name="claims", daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Ends the watch; the moment up to which it has seen everything. Raises what kept it from looking."""
        self._over.set()
        self._thread.join(JOIN_S)
        if self._failure is not None:
            raise self._failure
        return self._looked_s

    def _watch(self) -> None:
        self._looked_s = monotonic()
        try:
            with evidence.witness(self._dsn) as connection:
                while not self._over.wait(LOOK_EVERY_S):
                    found = evidence.claims(connection)
                    self._looked_s = monotonic()
                    for run_id, slot in found:
                        self._found(RunId(run_id), slot)
        except Exception as error:
            self._failure = error

    def _found(self, run_id: RunId, slot: datetime) -> None:
        if run_id in self.seen and self._last.get(run_id) != slot:
            self._last[run_id] = slot
            self.slots.add(slot)
            self.seen[run_id].append(self._looked_s)
