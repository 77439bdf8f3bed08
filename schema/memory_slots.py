"""Claims, leases and tick rows of the memory store. Leases live in process time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime
from itertools import islice

from core.errors import Reason, RunnerError
from core.ids import RunId
from core.run import RunStatus, ticks
from core.schedule import fires
from core.signal import Action
from core.strategy_warning import StrategyWarning
from schema.ledger import signal_payload
from schema.ledger.payloads import WARNING, warning_payload
from schema.memory_rows import NEVER, RunRow
from schema.memory_tables import Tables
from schema.memory_tx import MemoryTx
from schema.records import (
    Ask,
    Claim,
    LostAsk,
    LostTrigger,
    RunLease,
    SlotReport,
    TickPlace,
    TickRow,
    TickSource,
    TickStatus,
)
from schema.store import LONG_AGO_S, MAX_CLAIM_BATCH

# Looked up once: an enum's member costs a replay more than the comparison it is for.
_ACTIVE, _HOLD = RunStatus.ACTIVE, Action.HOLD.value


class MemorySlots:
    """The caller holds the store's lock."""

    def __init__(self, tables: Tables, monotonic: Callable[[], float], *, tick_window: int | None) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self._tick_window = tick_window
        # The row claimed last: a replay's one run, found again without hashing its id.
        self._claimed: RunRow | None = None

    def claim(
        self,
        run_ids: Sequence[RunId],
        *,
        slot: datetime,
        owner: str,
        ttl_s: float,
        ask: Ask | None,
        now: datetime,
    ) -> list[Claim]:
        if len(run_ids) > MAX_CLAIM_BATCH:
            raise RunnerError(f"{len(run_ids)} runs are more than one claim takes ({MAX_CLAIM_BATCH})")
        tables, process, day = self._tables, self._monotonic(), now.date()
        claims = []
        for run_id in run_ids:
            row = tables.runs.get(run_id)
            if row is None or row.run.status is not _ACTIVE or process < row.locked_until:
                continue
            previous = row.last_slot
            if previous is not None:
                if slot <= previous:
                    continue
                if row.ticked_slot != previous:
                    self._interrupt(row, previous, now)
                if row.previous_slot is None:
                    row.previous_slot = previous
            tables.fence += 1
            row.previous_fence = row.fence
            row.owner, row.fence, row.locked_until = owner, tables.fence, process + ttl_s
            row.last_slot, row.ask = slot, ask
            claims.append(_claim(row, slot, row.previous_slot, tables, day))
            self._claimed = row
        return claims

    def acquire(self, run_id: RunId, *, owner: str, ttl_s: float) -> int | None:
        row, process = self._tables.runs.get(run_id), self._monotonic()
        if row is None or process < row.locked_until:
            return None
        self._tables.fence += 1
        row.owner, row.fence, row.locked_until = owner, self._tables.fence, process + ttl_s
        return row.fence

    def renew(self, run_id: RunId, *, fence: int, ttl_s: float) -> bool:
        row, process = self._tables.runs.get(run_id), self._monotonic()
        if row is None or row.fence != fence or process >= row.locked_until:
            return False
        row.locked_until = process + ttl_s
        return True

    def release(self, leases: Sequence[tuple[RunId, int]]) -> None:
        process = self._monotonic()
        for run_id, fence in leases:
            row = self._tables.runs.get(run_id)
            if row is not None and row.fence == fence and process < row.locked_until:
                row.locked_until = process

    def free_leases(self) -> None:
        process = self._monotonic()
        for row in self._tables.runs.values():
            row.locked_until = min(row.locked_until, process)

    def leases(self) -> list[RunLease]:
        process, rows = self._monotonic(), self._tables.runs
        return [
            RunLease(
                run_id=run_id,
                owner=row.owner,
                fence=row.fence,
                locked_s=max(row.locked_until - process, -LONG_AGO_S),
                last_slot=row.last_slot,
                ticked_slot=row.ticked_slot,
                previous_slot=row.previous_slot,
                source=None if row.ask is None else row.ask.source,
                asked_at=None if row.ask is None else row.ask.at,
            )
            for run_id, row in sorted(rows.items())
        ]

    def report(self, report: SlotReport) -> tuple[int, list[TickRow]]:
        """How many tick rows were new, and those with a signal to publish."""
        runs = self._tables.runs
        try:
            rows = [runs[tick.run_id] for tick in report.ticks]
        except KeyError as error:
            raise RunnerError(f"there is no run {error.args[0]}") from None
        new: int = 0
        signals: list[TickRow] = []
        for row, tick in zip(rows, report.ticks, strict=True):
            if self._end(row, tick):
                new += 1
                signal = tick.signal
                if signal is not None and signal != _HOLD:
                    signals.append(tick)
        for stored in report.candles:
            held = self._tables.candles.setdefault(stored.series, {})
            held.setdefault(stored.candle.open_time_ms, stored.candle)
        for lost in report.lost:
            self._note_lost(lost)
        return new, signals

    def tick(self, tick: TickRow) -> bool:
        """A report of one row; whether it has a signal to publish."""
        new = self._end(self._tables.runs[tick.run_id], tick)
        return new and tick.signal is not None and tick.signal != _HOLD

    def count(self, claim: Claim, status: TickStatus, reason: str | None) -> bool:
        row, slot = self._claimed, claim.slot
        if row is None or row.run.id is not claim.run_id:
            row = self._tables.runs[claim.run_id]
        if row.fence != claim.fence or row.last_slot != slot or row.ticked_slot == slot:
            return False
        row.ticked_slot = row.previous_slot = slot
        row.locked_until = NEVER
        row.count(status, reason)
        return True

    def publish(self, signals: Sequence[TickRow], tx: MemoryTx, at: datetime) -> None:
        for tick in signals:
            strategy = self._tables.runs[tick.run_id].run.strategy
            payload = signal_payload(tick, strategy.symbol, strategy.id, strategy.name)
            tx.append_event(user_id=tick.user_id, run_id=tick.run_id, type="signal", at=at, payload=payload)

    def warn(self, warning: StrategyWarning, tx: MemoryTx, at: datetime) -> None:
        """Once of each kind and version."""
        key = (warning.strategy_id, warning.version, warning.kind)
        if key not in self._tables.warnings:
            self._tables.warnings[key] = warning
            payload = warning_payload(warning)
            tx.append_event(user_id=warning.user_id, run_id=None, type=WARNING, at=at, payload=payload)

    def close_interrupted(self, *, older_than_s: float, now: datetime) -> list[TickRow]:
        latest_end = self._monotonic() - older_than_s
        closed = []
        for row in self._tables.runs.values():
            slot = row.last_slot
            if slot is not None and row.ticked_slot != slot and row.locked_until <= latest_end:
                closed.append(self._interrupt(row, slot, now))
        return closed

    def _interrupt(self, row: RunRow, slot: datetime, now: datetime) -> TickRow:
        """`previous_slot` stays: who cut the slot off may have taken rows of missed ones with it."""
        tick = TickRow(
            run_id=row.run.id,
            user_id=row.run.user_id,
            slot=slot,
            status=TickStatus.ERROR,
            reason=Reason.INTERRUPTED.value,
            source=TickSource.TIMER if row.ask is None else row.ask.source,
            asked_at=None if row.ask is None else row.ask.at,
            scheduled_at=slot,
            finished_at=now,
            worker=row.owner,
            fence=row.fence,
        )
        self._keep(row, tick)
        row.ticked_slot = slot
        return tick

    def pending(self, slot: datetime) -> int:
        return sum(
            ticks(row.run)
            and row.run.strategy.timeframe.is_slot(slot)
            and slot not in row.ticks
            and fires(row.run.schedule, slot)
            for row in self._tables.runs.values()
        )

    def ticks(
        self,
        *,
        run_id: RunId | None,
        status: str | None,
        since: datetime | None,
        slot: datetime | None,
        source: TickSource | None,
        before: TickPlace | None,
        limit: int,
    ) -> list[TickRow]:
        runs = self._tables.runs
        rows = runs.values() if run_id is None else [runs[run_id]] if run_id in runs else []
        found = [
            tick
            for row in rows
            for tick in row.ticks.values()
            if status in (None, tick.status)
            and slot in (None, tick.slot)
            and source in (None, tick.source)
            and (before is None or (tick.slot, tick.run_id) < before)
            and (since is None or tick.slot >= since)
        ]
        found.sort(key=lambda tick: (tick.slot, tick.run_id), reverse=True)
        return found[:limit]

    def slot_counts(self, slot: datetime) -> Counter[TickStatus]:
        rows = self._tables.runs.values()
        return Counter(tick.status for row in rows if (tick := row.ticks.get(slot)) is not None)

    def lost_triggers(self, ticks: Sequence[TickRow]) -> dict[TickPlace, list[LostTrigger]]:
        found: dict[TickPlace, list[LostTrigger]] = {}
        for tick in ticks:
            place = (tick.slot, tick.run_id)
            lost = [
                LostTrigger(source=source, node=node, asked_at=at)
                for (source, node), at in self._tables.lost_triggers.get(place, {}).items()
                if (source, node) != (tick.source, tick.worker)
            ]
            if lost:
                found[place] = sorted(lost, key=lambda ask: (ask.asked_at, ask.source, ask.node))
        return found

    def _note_lost(self, lost: LostAsk) -> None:
        ask = lost.ask
        for run_id in lost.run_ids:
            noted = self._tables.lost_triggers.setdefault((ask.slot, run_id), {})
            noted.setdefault((ask.source, lost.node), ask.at)

    def _end(self, row: RunRow, tick: TickRow) -> bool:
        """The slot has ended, and its lease; whether the row is new."""
        new, slot = self._keep(row, tick), tick.slot
        if row.last_slot == slot:
            row.ticked_slot = row.previous_slot = slot
        if row.fence == tick.fence:
            row.locked_until = NEVER
        return new

    def _keep(self, row: RunRow, tick: TickRow) -> bool:
        """False when the slot has its row already: the first one stays (I1)."""
        kept, before = row.ticks, len(row.ticks)
        kept.setdefault(tick.slot, tick)
        if len(kept) == before:
            return False
        row.count(tick.status, tick.reason)
        if self._tick_window is not None and before >= 2 * self._tick_window:
            # In bulk: taking a dictionary's oldest key again and again gets slower each time.
            for slot in list(islice(kept, self._tick_window)):
                del kept[slot]
                self._tables.lost_triggers.pop((slot, tick.run_id), None)
        return True


def _claim(row: RunRow, slot: datetime, previous: datetime | None, tables: Tables, day: date) -> Claim:
    run, user = row.run, row.user
    account = None if row.account is None else row.account.account
    if account is None:
        return Claim(
            run_id=run.id,
            user_id=run.user_id,
            slot=slot,
            fence=row.fence,
            previous_slot=previous,
            previous_fence=row.previous_fence,
            activated_at=run.activated_at,
            run_version=run.version,
            status=run.status,
            kill_switch=tables.kill_switch,
            risk=user.view(day),
            limits=user.limits,
        )
    return Claim(
        run_id=run.id,
        user_id=run.user_id,
        slot=slot,
        fence=row.fence,
        previous_slot=previous,
        previous_fence=row.previous_fence,
        activated_at=run.activated_at,
        run_version=run.version,
        status=run.status,
        kill_switch=tables.kill_switch or account.kill_switch,
        risk=user.view(day),
        limits=user.limits,
        balance=account.balance,
        used_margin=account.used_margin,
    )
