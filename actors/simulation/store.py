"""The one store of all processes, watched at every commit, and each process's way to it, which fails at times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from actors.permit import Later
from actors.simulation.faults import Faults, StoreFault
from core.clock import Clock
from core.errors import Reason
from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.order import Order
from core.risk import RiskLimits, RiskState
from core.run import Run, RunCommand
from schema.memory import MemoryStore
from schema.memory_tables import Tables
from schema.ops import LedgerOp, LedgerResult, ProposeIntent
from schema.records import Ask, Claim, Event, SlotReport, TickRow
from schema.store import StoreUnavailable


class StoreWatch(Protocol):
    """Told of every commit, in order, before anybody else can act on it."""

    def claimed(self, slot: datetime, ttl_s: float, claims: Sequence[Claim]) -> None: ...
    def acquired(self, run_id: RunId, fence: int, ttl_s: float) -> None: ...
    def released(self, leases: Sequence[tuple[RunId, int]]) -> None: ...
    def reported(self, caller: str, report: SlotReport) -> None: ...
    def interrupted(self, rows: Sequence[TickRow]) -> None: ...
    def settled(self, ops: Sequence[LedgerOp], results: Sequence[LedgerResult]) -> None: ...
    def permitted(self, caller: str, client_order_id: ClientOrderId, refusal: Reason | None) -> None: ...
    def commanded(self, run: Run) -> None: ...
    def switched(self, on: bool, account_id: AccountId | None) -> None: ...
    def limited(self, user_id: UserId, limits: RiskLimits) -> None: ...


class WatchedStore(MemoryStore):
    """`caller` names the process whose call is being carried out."""

    def __init__(self, clock: Clock, limits: RiskLimits) -> None:
        super().__init__(clock, limits, tick_window=None)
        self.watch: StoreWatch
        self.caller = ""

    @property
    def tables(self) -> Tables:
        return self._tables

    def events_since(self, index: int) -> Sequence[Event]:
        return self._tables.events[index:]

    def risk_state(self, user_id: UserId, days: Sequence[datetime]) -> RiskState:
        """The row as stored, with these days."""
        return self._tables.user(user_id).load([day.date() for day in days])

    def claim(
        self,
        run_ids: Sequence[RunId],
        *,
        slot: datetime,
        owner: str,
        ttl_s: float,
        ask: Ask | None = None,
    ) -> list[Claim]:
        claims = super().claim(run_ids, slot=slot, owner=owner, ttl_s=ttl_s, ask=ask)
        self.watch.claimed(slot, ttl_s, claims)
        return claims

    def acquire(self, run_id: RunId, *, owner: str, ttl_s: float) -> int | None:
        fence = super().acquire(run_id, owner=owner, ttl_s=ttl_s)
        if fence is not None:
            self.watch.acquired(run_id, fence, ttl_s)
        return fence

    def release(self, leases: Sequence[tuple[RunId, int]]) -> None:
        super().release(leases)
        self.watch.released(leases)

    def report(self, report: SlotReport) -> int:
        new = super().report(report)
        self.watch.reported(self.caller, report)
        return new

    def close_interrupted(self, *, older_than_s: float) -> list[TickRow]:
        rows = super().close_interrupted(older_than_s=older_than_s)
        if rows:
            self.watch.interrupted(rows)
        return rows

    def settle_signals(self, *, now: datetime) -> list[TickRow]:
        rows = super().settle_signals(now=now)
        if rows:
            self.watch.interrupted(rows)
        return rows

    def settle(self, ops: Sequence[LedgerOp]) -> list[LedgerResult]:
        results = super().settle(ops)
        self.watch.settled(ops, results)
        return results

    def may_send(self, asked: Sequence[tuple[ClientOrderId, int]]) -> list[Reason | None]:
        refusals = super().may_send(asked)
        for (client_order_id, _), refusal in zip(asked, refusals, strict=True):
            self.watch.permitted(self.caller, client_order_id, refusal)
        return refusals

    def command(self, run_id: RunId, command: RunCommand, *, by: str, reason: str | None = None) -> Run:
        run = super().command(run_id, command, by=by, reason=reason)
        self.watch.commanded(run)
        return run

    def adapter_failed(self, run_id: RunId, *, slot: datetime, kind: str, detail: str) -> Run:
        run = super().adapter_failed(run_id, slot=slot, kind=kind, detail=detail)
        self.watch.commanded(run)
        return run

    def adapter_recovered(self, run_id: RunId) -> Run:
        run = super().adapter_recovered(run_id)
        self.watch.commanded(run)
        return run

    def set_kill_switch(self, *, on: bool, reason: str, account_id: AccountId | None = None) -> None:
        super().set_kill_switch(on=on, reason=reason, account_id=account_id)
        self.watch.switched(on, account_id)

    def set_limits(self, user_id: UserId, limits: RiskLimits) -> None:
        super().set_limits(user_id, limits)
        self.watch.limited(user_id, limits)


class Frozen(Exception):
    """The process froze with this call on its way; nothing has been carried out."""


class StoreLink:
    """One process's way to the store: calls fail before they are carried out, or their answer is lost after.

    `down_until_s`: process time until which nothing gets through. `freeze_before`: a method, and what freezes the
    process before its next decision arrives there.
    """

    def __init__(self, store: WatchedStore, faults: Faults, clock: Clock, process: str) -> None:
        self._store = store
        self._faults = faults
        self._clock = clock
        self._process = process
        self.down_until_s = float("-inf")
        self.freeze_before: tuple[str, Callable[[], None]] | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)
        store, faults, clock = self._store, self._faults, self._clock

        def called(*args: Any, **kwargs: Any) -> Any:
            armed = self.freeze_before
            if armed is not None and armed[0] == name and (name != "settle" or _has_exit(*args)):
                self.freeze_before = None
                armed[1]()
                raise Frozen
            if clock.monotonic() < self.down_until_s:
                raise StoreUnavailable(f"{name}: the store is out of reach")
            fault = faults.store(name)
            if fault is StoreFault.DOWN:
                raise StoreUnavailable(f"{name}: the store did not answer")
            store.caller = self._process
            result = method(*args, **kwargs)
            if fault is StoreFault.ANSWER_LOST:
                raise StoreUnavailable(f"{name}: the answer was lost")
            return result

        self.__dict__[name] = called
        return called


class SimulatedPermits:
    """Rows are read as soon as they are asked for, nearly always; before they are, and before the answer is heard, the
    process may be frozen or killed.
    """

    def __init__(self, link: StoreLink, faults: Faults, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._link = link
        self._faults = faults
        self._sleep = sleep

    def ask(self, order: Order) -> Awaitable[Reason | None]:
        delay_s = self._faults.store_delay_s()
        if delay_s:
            return Later(partial(self._read_after, delay_s, order))
        try:
            return Later(partial(self._heard, self._read(order)))
        except Frozen:
            return Later(partial(self._read_after, 0.0, order))

    def _read(self, order: Order) -> Reason | None:
        try:
            [refusal] = self._link.may_send([(order.client_order_id, order.fence)])
        except StoreUnavailable:
            return Reason.STORE_UNAVAILABLE
        said: Reason | None = refusal
        return said

    async def _read_after(self, delay_s: float, order: Order) -> Reason | None:
        while True:
            await self._sleep(delay_s)
            try:
                return await self._heard(self._read(order))
            except Frozen:
                delay_s = 0.0  # goes on when the process does

    async def _heard(self, refusal: Reason | None) -> Reason | None:
        await self._sleep(0.0)
        return refusal


def _has_exit(ops: Sequence[LedgerOp]) -> bool:
    """Whether a decision to exit is among them: by the time a lease is over an entry is late anyway."""
    return any(isinstance(op, ProposeIntent) and op.order.reduce_only for op in ops)
