"""Signals from outside in the memory store. The caller holds its lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice, takewhile
from uuid import UUID

from core.external_signal import ExternalSignal, expiry_of, slot_of
from core.ids import RunId
from core.run import RunStatus
from core.strategies.external import is_external
from schema.external import (
    KEPT,
    SETTLED_AT_ONCE,
    Accepted,
    CameTooLate,
    DueSignal,
    KeyTaken,
    NewSignal,
    NoSuchStrategy,
    Receipt,
    TooFast,
    missed_row,
)
from schema.memory_rows import RunRow
from schema.memory_tables import Tables
from schema.records import TickRow


def receive(tables: Tables, new: NewSignal) -> Receipt:
    strategy = None if new.strategy_id in tables.archived else tables.strategies.get(new.strategy_id)
    if strategy is None or strategy.owner_id != new.user_id or not is_external(strategy):
        return NoSuchStrategy()
    known = tables.external.setdefault(new.strategy_id, {})
    before = known.get(new.key)
    if before is None:
        beside = (known[key] for key in new.other_keys if key in known)
        before = next((each for each in beside if new.came_at(each.received_at)), None)
    if before is not None:
        same = before.sent.content == new.sent.content
        return Accepted(signal=before, repeated=True) if same else KeyTaken()
    expires_at = expiry_of(new.received_at, new.sent, new.within)
    if expires_at is None:
        return CameTooLate()
    slot = slot_of(new.received_at, max((signal.slot for signal in known.values()), default=None))
    if slot is None:
        return TooFast()
    owed = [
        row
        for row in tables.runs.values()
        if row.run.strategy.id == new.strategy_id and row.run.status is RunStatus.ACTIVE
    ]
    signal = ExternalSignal(
        id=new.id,
        strategy_id=new.strategy_id,
        user_id=new.user_id,
        strategy_version=strategy.version,
        key=new.key,
        received_at=new.received_at,
        slot=slot,
        expires_at=expires_at,
        sent=new.sent,
        runs=len(owed),
    )
    known[new.key] = signal
    for row in owed:
        tables.owed.setdefault(row.run.id, {})[slot] = signal
    return Accepted(signal=signal)


def due(tables: Tables, run_ids: Sequence[RunId]) -> list[DueSignal]:
    runs_of: dict[UUID, list[RunId]] = {}
    signals: dict[UUID, ExternalSignal] = {}
    for run_id in sorted(run_ids):
        waiting = [slot for slot in tables.owed.get(run_id, {}) if slot not in tables.runs[run_id].ticks]
        if waiting:
            signal = tables.owed[run_id][min(waiting)]
            signals[signal.id] = signal
            runs_of.setdefault(signal.id, []).append(run_id)
    found = sorted(signals.values(), key=lambda signal: (signal.slot, signal.id))
    return [DueSignal(signal=signal, run_ids=tuple(runs_of[signal.id])) for signal in found]


def settle(tables: Tables, now: datetime, process_s: float) -> list[TickRow]:
    overdue = (
        (tables.runs[run_id], signal)
        for run_id, owed in sorted(tables.owed.items())
        if _is_at_rest(tables.runs[run_id], process_s)
        for signal in _expired(tables.runs[run_id], owed, now)
    )
    rows = [_close(row, signal, now) for row, signal in list(islice(overdue, SETTLED_AT_ONCE))]
    for run_id, owed in list(tables.owed.items()):
        for slot in [slot for slot in owed if slot in tables.runs[run_id].ticks]:
            del owed[slot]
        if not owed:
            del tables.owed[run_id]
    owed_ids = {signal.id for owed in tables.owed.values() for signal in owed.values()}
    for known in tables.external.values():
        for key, signal in list(known.items()):
            if signal.received_at < now - KEPT and signal.id not in owed_ids:
                del known[key]
    return rows


def _expired(row: RunRow, owed: Mapping[datetime, ExternalSignal], now: datetime) -> Iterator[ExternalSignal]:
    """In their order, up to the first that may still be claimed."""
    untold = (signal for slot, signal in sorted(owed.items()) if slot not in row.ticks)
    return takewhile(lambda signal: signal.expires_at <= now, untold)


def _is_at_rest(row: RunRow, process_s: float) -> bool:
    """Nobody is at work on a slot of it."""
    return row.locked_until <= process_s and row.ticked_slot == row.last_slot


def _close(row: RunRow, signal: ExternalSignal, now: datetime) -> TickRow:
    """The slot has its row, and is claimed by nobody any more."""
    slot = signal.slot
    tick = missed_row(
        row.run.id,
        row.run.user_id,
        slot=slot,
        received_at=signal.received_at,
        active=row.run.status is RunStatus.ACTIVE,
        now=now,
    )
    row.ticks[slot] = tick
    row.count(tick.status, tick.reason)
    if row.last_slot is None or row.last_slot < slot:
        row.last_slot = row.ticked_slot = slot
    row.previous_slot = slot if row.previous_slot is None else max(row.previous_slot, slot)
    return tick
