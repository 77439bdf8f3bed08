"""The installation in memory: market time, kill switches, processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from core.clock import Clock
from core.errors import RunnerError
from core.ids import AccountId, NodeId
from schema.ledger import PLATFORM_USER, switch_payload
from schema.memory_clock import MemoryClock
from schema.memory_tables import Tables
from schema.memory_tx import MemoryTx
from schema.records import ClockSettings, Node, Platform


class MemoryPlatform:
    """`now` is market time, for whoever asks after each `mark_demo`. The caller holds the store's lock."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._monotonic = clock.monotonic
        self._market = MemoryClock(clock)
        self._beats: dict[NodeId, tuple[float, Node]] = {}
        self.now: Callable[[], datetime] = clock.now

    def clock(self) -> ClockSettings:
        return self._market.settings()

    def set_clock(
        self, *, at: datetime | None, rate: float | None, ceiling: datetime | None
    ) -> ClockSettings:
        self._market.set(at, rate, ceiling)
        return self._market.settings()

    def mark_demo(self, *, start: datetime, rate: float) -> ClockSettings:
        if not self._market.is_demo:
            if self._tables.runs:
                raise RunnerError("this database holds runs and cannot become a demo")
            self._market.become_demo(start, rate)
            self.now = self._market.now
        return self._market.settings()

    def platform(self) -> Platform:
        return Platform(
            kill_switch=self._tables.kill_switch,
            kill_switch_reason=self._tables.kill_switch_reason,
            minimum_version=None,
            demo=self._market.is_demo,
        )

    def set_kill_switch(self, tx: MemoryTx, *, on: bool, reason: str, account_id: AccountId | None) -> None:
        user_id = PLATFORM_USER
        if account_id is None:
            if self._tables.kill_switch == on:
                return
            self._tables.kill_switch = on
            self._tables.kill_switch_reason = reason if on else None
        else:
            row = self._tables.accounts.get(account_id)
            if row is None:
                raise RunnerError(f"there is no account {account_id}")
            if row.account.kill_switch == on:
                return
            row.account = replace(row.account, kill_switch=on)
            user_id = row.account.user_id
        payload = switch_payload(on=on, reason=reason, account_id=str(account_id) if account_id else None)
        tx.append_event(user_id=user_id, run_id=None, type="risk_block", at=tx.now(), payload=payload)

    def beat(self, node_id: NodeId, version: str, *, within_s: float) -> list[Node]:
        process = self._monotonic()
        beat_at = self._market.settings().database_now
        self._beats[node_id] = (process, Node(id=node_id, version=version, beat_at=beat_at))
        live = [node for beaten, node in self._beats.values() if process - beaten <= within_s]
        return sorted(live, key=lambda node: node.id)

    def leave(self, node_id: NodeId) -> None:
        self._beats.pop(node_id, None)
