"""What every request was and did, as the venue saw it: the oracle of tests.

One line per request: its time, key, client id, the orders it created, the answer's status and the fault that
struck it. `created` counts, per client id, the orders and conditional orders that came into being: 2 is a duplicate.
"""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path
from typing import TextIO

import msgspec

from exchanges.simulator.model import (
    ConditionalChanged,
    Event,
    OrderChanged,
    OrderStatus,
    Origin,
    TriggerStatus,
)

KEPT_MAX = 200_000


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`at_ms` venue time, `process_s` monotonic. `created`, `canceled`: client ids. `status` 0: no answer given."""

    seq: int
    at_ms: int
    process_s: float
    method: str
    path: str
    key: str = ""
    client_id: str = ""
    created: list[str] = []
    canceled: list[str] = []
    fills: int = 0
    status: int = 0
    code: int | None = None
    fault: str | None = None


class Journal:
    """Entries of the newest `KEPT_MAX` requests in memory, all of them in the file."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT_MAX)
        self._seq = 0
        self._open: Entry | None = None
        self._file: TextIO | None = None if path is None else path.open("a", encoding="utf-8", buffering=1)
        self.created: Counter[str] = Counter()

    def begin(self, *, at_ms: int, process_s: float, method: str, path: str) -> Entry:
        self._seq += 1
        self._open = Entry(
            seq=self._seq, at_ms=at_ms, process_s=round(process_s, 6), method=method, path=path
        )
        return self._open

    def end(self, entry: Entry) -> None:
        self._open = None
        self._entries.append(entry)
        if self._file is not None:
            self._file.write(msgspec.json.encode(entry).decode() + "\n")

    def note(self, event: Event) -> None:
        """Engine events belong to the request that is being served, if there is one."""
        entry = self._open
        if isinstance(event, OrderChanged):
            order = event.order
            if event.trade is not None:
                if entry is not None:
                    entry.fills += 1
            elif order.status is OrderStatus.NEW and order.origin is Origin.CLIENT:
                self._created(order.request.client_id)
            elif order.status is OrderStatus.CANCELED and entry is not None:
                entry.canceled = [*entry.canceled, order.request.client_id]
        elif isinstance(event, ConditionalChanged):
            conditional = event.conditional
            if conditional.status is TriggerStatus.NEW:
                self._created(conditional.request.client_id)
            elif conditional.status is TriggerStatus.CANCELED and entry is not None:
                entry.canceled = [*entry.canceled, conditional.request.client_id]

    def since(self, seq: int) -> list[Entry]:
        return [entry for entry in self._entries if entry.seq > seq]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _created(self, client_id: str) -> None:
        self.created[client_id] += 1
        if self._open is not None:
            self._open.created = [*self._open.created, client_id]
