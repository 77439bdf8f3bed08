"""A live process: the actor system on threads over PostgreSQL, and what the facade may ask of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID

import msgspec

from actors.clock_keeper import ClockChanged, ClockKeeper, SetDemoClock
from actors.config_keeper import ConfigChanged
from actors.interpreter import Interpreter
from actors.key_keeper import KeysChanged
from actors.market_clock import MarketClock
from actors.messages import (
    DueRequested,
    FlattensAsked,
    RowsChanged,
    SettleAsked,
    SignalsSent,
    StandDown,
    TickRequested,
)
from actors.passing import Passing, PassingEvent
from actors.publishers.traces import TickTraces
from actors.recording.recorder import Recorder
from actors.runtime.dead_letters import Sink
from actors.runtime.errors import AskTimeout
from actors.runtime.process_time import process_s
from actors.runtime.spec import ChildSpec, Intensity, StopMode, Supervision
from actors.runtime.system import ActorInfo, ActorSystem
from actors.sandbox.pool import Pool
from actors.system import BACKOFF, Parts, specs
from actors.tally import Tallied
from core.candles import CandleColumns, empty
from core.decoders import prepare_decoders
from core.ids import AccountId, NodeId, RunId, UserId
from core.mark import Mark
from core.market import Series
from core.timeframe import from_ms, to_ms
from exchanges.stand_in import StandIns
from exchanges.venue_host import HostLoad
from schema.ops import LedgerOp, LedgerResult
from schema.pg_permits import PgPermits
from schema.pg_venue_budgets import BANS_CHANNEL
from schema.records import ClockSettings, Node, TickSource
from schema.store import Notifier, Store, StoreUnavailable

PASSING_CHANNEL = "passing"
EXTERNAL_CHANNEL = "external"
CHANNELS = (
    *("runs", "ticks", "clock", "connections", "flattens", "config"),
    *(PASSING_CHANNEL, BANS_CHANNEL, EXTERNAL_CHANNEL),
)
DB_WORKERS = 4
ASK_TIMEOUT_S = 5.0
MAX_HINTS = 100
"""Hints waiting to be sent; more are dropped, as periodic passes find what they were about."""
STOP_TIMEOUT_S = 16.0
"""With standing down and the server's own 5 s before it, this is bounded below the 30 s an orchestrator gives (I16)."""
LEAVE_TIMEOUT_S = 2.0
CLAIMS_TIMEOUT_S = 6.0
"""How long slots that were claimed may take to be decided; what takes longer is closed as interrupted."""
CLAIMS_POLL_S = 0.1


class TickHint(msgspec.Struct, frozen=True, kw_only=True):
    """On channel `ticks`: everything due, or one run in one slot (epoch ms)."""

    source: str
    run_id: RunId | None = None
    slot_ms: int | None = None
    request_id: str | None = None


class PassingNote(msgspec.Struct, frozen=True, kw_only=True):
    """On channel `passing`: what passed at a process, which hears its own note too."""

    node: NodeId
    events: msgspec.Raw


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """`hosts`: of venues spoken to with keys. `dead_letters` by reason, `failures` of handlers, since the start.

    `sandbox`: why no code runs here; None where it does.
    """

    node: NodeId
    enabled: bool
    tallied: Tallied
    hosts: tuple[HostLoad, ...] = ()
    dead_letters: Mapping[str, int] = {}
    failures: int = 0
    sandbox: str | None = None


class Service:
    """One process's share of the runs. Built from parts, started once, stopped once."""

    def __init__(
        self,
        *,
        parts: Parts,
        clock: MarketClock,
        notifier: Notifier,
        sink: Sink,
        data_end: datetime | None = None,
        on_data_end: Callable[[], None] | None = None,
        recorder: Recorder | None = None,
        more: Sequence[ChildSpec] = (),
        stand_ins: StandIns | None = None,
        read_bans: Callable[[], None] = lambda: None,
        venue_loads: Callable[[], Sequence[HostLoad]] = tuple,
        traces: TickTraces | None = None,
        sandbox: Pool | None = None,
        permits: PgPermits | None = None,
    ) -> None:
        self._nodes: Sequence[Node] = ()
        self._interpreter = Interpreter()
        self._parts = msgspec.structs.replace(
            parts, on_nodes=self._saw_nodes, on_loaded=self._interpreter.loaded
        )
        self._clock = clock
        self._notifier = notifier
        self._data_end = data_end
        self._on_data_end = on_data_end
        self._recorder = recorder
        self._more = more
        self._stand_ins = stand_ins
        self._read_bans = read_bans
        self._venue_loads = venue_loads
        self._traces = traces
        self.sandbox = sandbox
        self._permits = permits
        if traces is not None:
            parts.journal.traced = traces.written
        self._passing = parts.journal.passing = Passing(clock.now)
        self._passing.others = lambda: len(self._nodes) > 1
        self._passing.wake = lambda: self._in_background(self._pass_on_news)
        self._running = False
        self._standing_down = threading.Lock()
        self._left = threading.Event()
        self._hints = ThreadPoolExecutor(1, thread_name_prefix="hints")
        self._hint_places = threading.BoundedSemaphore(MAX_HINTS)
        self.system = ActorSystem.live(clock, db_workers=DB_WORKERS, sink=sink)

    @property
    def store(self) -> Store:
        return self._parts.store

    @property
    def origin(self) -> str:
        """Where the candles come from, as it is shown."""
        return self._parts.feed.origin

    @property
    def venues(self) -> tuple[str, ...]:
        """Whose candles they are."""
        return self._parts.feed.venues

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Raises StartFailed with nothing left running."""
        store = self._parts.store
        prepare_decoders()
        if self.sandbox is not None:
            self.sandbox.start()
        self._interpreter.begin()
        if self._recorder is not None:
            beside = ("clock", *(spec.id for spec in self._more))
            self._parts = self._recorder.begin(self.system, self._parts, self._clock, beside)
        keeper = ChildSpec(
            id="clock",
            factory=lambda ctx: ClockKeeper(
                ctx,
                store=store,
                clock=self._clock,
                hint=lambda: self._notifier.notify("clock", ""),
                data_end=self._data_end,
                on_data_end=self._on_data_end,
                stand_ins=self._stand_ins,
            ),
            backoff=BACKOFF,
        )
        supervision = Supervision(intensity=Intensity(max_restarts=5, window_s=60.0))
        self.system.start([*specs(self.system, self._parts), keeper, *self._more], supervision)
        self._notifier.listen(CHANNELS, self._heard)
        self._running = True

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Drain: no new claims, orders in flight end recorded; whether all ended in time (I16)."""
        deadline_s = process_s() + timeout_s
        self.stand_down()
        if self._recorder is not None:
            self._recorder.stopping(StopMode.DRAIN.value)
        in_time = self.system.stop(StopMode.DRAIN, deadline_s - process_s())
        if self._recorder is not None:
            self._recorder.finish()
        self._hints.shutdown(wait=False, cancel_futures=True)
        if self._permits is not None:
            self._permits.close()
        if self._traces is not None:
            self._traces.close()
        if self.sandbox is not None:
            self.sandbox.close()
        self._notifier.close()
        self._interpreter.end()
        try:
            self._parts.store.leave(self._parts.options.node)
        except StoreUnavailable:
            in_time = False
        return in_time

    def stand_down(self) -> None:
        """Hand the runs to the other processes, and end what was claimed; not ready from the first moment on. Blocks.

        The others hear at once that the runs are theirs now, so that none misses a slot for this process's end.
        """
        running, self._running = self._running, False
        with self._standing_down:  # whoever stops it meanwhile waits
            if not running:
                return
            for name in ("scheduler", "external", "runs"):
                self._tell(name, StandDown())
            self._left.wait(LEAVE_TIMEOUT_S)
            self._send("runs", "")
            self._await_claims(process_s() + CLAIMS_TIMEOUT_S)

    def _await_claims(self, deadline_s: float) -> None:
        """Until every slot this process has claimed has its row."""
        pause = threading.Event()
        owned = f"{self._parts.options.worker}:"
        while process_s() < deadline_s:
            try:
                leases = self._parts.store.leases()
            except StoreUnavailable:
                return
            if not any(each.locked_s > 0 and each.owner.startswith(owned) for each in leases):
                return
            pause.wait(CLAIMS_POLL_S)

    def _heard(self, channel: str, payload: str) -> None:
        """On the listener's thread: hints become messages; an empty payload says that hints may be missing."""
        if channel == "runs":
            self._tell("runs", RowsChanged())
        elif channel == "clock":
            self._tell("clock", ClockChanged())
        elif channel == PASSING_CHANNEL:
            self._hear_news(payload)
        elif channel == BANS_CHANNEL:
            self._read_bans()
        elif channel == EXTERNAL_CHANNEL:
            self._tell("external", SignalsSent())
        elif channel == "flattens":
            self._tell("flattener", FlattensAsked())
        elif channel == "config":
            self._tell("config", ConfigChanged())
        elif channel == "connections":
            self._tell("keys", KeysChanged(account_id=AccountId(UUID(payload)) if payload else None))
        elif payload:
            self._pass_on(msgspec.json.decode(payload, type=TickHint))

    def _pass_on(self, hint: TickHint) -> None:
        if hint.run_id is not None and hint.slot_ms is not None:
            self._tell(
                "scheduler",
                TickRequested(run_id=hint.run_id, slot=from_ms(hint.slot_ms), request_id=hint.request_id),
            )
        else:
            self._tell("scheduler", DueRequested(source=TickSource(hint.source)))

    def _tell(self, name: str, message: object) -> None:
        self._note(name, message)
        try:
            self.system.ref(name).tell(message)
        except LookupError:
            return  # starting or stopping: rows are read again anyway

    def _note(self, name: str, message: object) -> None:
        if self._recorder is not None:
            self._recorder.outside(name, message)

    def on_failure(self, call: Callable[[], None]) -> None:
        """Have `call` called, from any thread, when the actor system is down for good."""
        self.system.on_failure = lambda _: call()
        if self.system.failure is not None:
            call()

    # -- what the facade asks -------------------------------------------------------------------

    def tick_due(self, *, source: TickSource) -> None:
        """Claim everything due, on every process."""
        self._tell("scheduler", DueRequested(source=source))
        self._hint(TickHint(source=source.value))

    def execute_tick(self, run_id: RunId, slot: datetime, request_id: str | None = None) -> None:
        """Ask whichever process has the run to tick it in `slot`."""
        self._tell("scheduler", TickRequested(run_id=run_id, slot=slot, request_id=request_id))
        source = TickSource.OPERATOR.value
        self._hint(TickHint(source=source, run_id=run_id, slot_ms=to_ms(slot), request_id=request_id))

    def rows_changed(self) -> None:
        """Re-read the rows, here and elsewhere."""
        self._tell("runs", RowsChanged())
        self._notify("runs", "")

    def signal_sent(self) -> None:
        """A signal from outside has come: have it told, here and elsewhere."""
        self._tell("external", SignalsSent())
        self._notify(EXTERNAL_CHANNEL, "")

    def candles(self, series: Series, limit: int) -> CandleColumns:
        """The newest `limit` candles held, oldest first; none for a series nobody trades on here."""
        window = self._parts.windows.get(series)
        if window is None:
            return empty()
        held = window.columns
        return held.part(max(0, len(held) - limit), len(held))

    def mark(self, venue: str, symbol: str) -> Mark | None:
        """What the venue values positions at; None where no account here holds one, or it is not heard."""
        marks = self._parts.feed.marks
        return None if marks is None else marks.latest(venue, symbol)

    def passed(self) -> Sequence[PassingEvent]:
        """What is told and not kept, since it was last asked for; from this process and the others."""
        return self._passing.take()

    def nodes(self) -> Sequence[Node]:
        """Processes that beat, as this one last saw them."""
        return self._nodes

    def _saw_nodes(self, nodes: Sequence[Node]) -> None:
        self._nodes = tuple(nodes)
        if not nodes:
            self._left.set()

    def actors(self) -> Sequence[ActorInfo]:
        root = self.system.snapshot()
        return () if root is None else (root,)

    def vitals(self) -> Vitals:
        """What this process has done and how it is; touches no actor."""
        reports = self.system.reports
        return Vitals(
            node=self._parts.options.node,
            enabled=self._parts.options.enabled,
            tallied=self._parts.journal.tally.read(),
            hosts=tuple(self._venue_loads()),
            dead_letters=dict(reports.dead_letters),
            failures=reports.failures,
            sandbox=None if self.sandbox is None else self.sandbox.sentence,
        )

    def settle(self, user_id: UserId, op: LedgerOp, timeout_s: float) -> LedgerResult:
        """Through the risk ledger. Raises TimeoutError, or StoreUnavailable when the ledger is down."""
        asked = SettleAsked(user_id=user_id, op=op)
        self._note("risk_ledger", asked)
        try:
            answer: LedgerResult = self.system.ask("risk_ledger", asked, timeout_s)
        except AskTimeout as error:
            raise TimeoutError(str(error)) from error
        except LookupError as error:
            raise StoreUnavailable("The risk ledger is not running.") from error
        return answer

    def market_now(self) -> datetime:
        return self._clock.now()

    def seconds_until(self, when: datetime) -> float:
        return self._clock.seconds_until(when)

    def clock_settings(self) -> ClockSettings:
        return self._clock.settings

    def set_rate(self, rate: float) -> ClockSettings:
        """A demo's market seconds per second; 0 stands still. Blocks."""
        settings: ClockSettings = self.system.ask("clock", SetDemoClock(rate=rate), ASK_TIMEOUT_S)
        return settings

    def ready(self) -> dict[str, bool]:
        """What must be up to serve, by name."""
        enabled = self._parts.options.enabled
        names = ("risk_ledger", "scheduler", "runs", "market_data") if enabled else ("risk_ledger",)
        up = dict.fromkeys(names, False)
        root = self.system.snapshot() if self._running else None
        for child in () if root is None else root.children:
            if child.name in up:
                up[child.name] = child.state == "running"
        if self.sandbox is not None:
            up["sandbox"] = self.sandbox.is_ready
        return up

    def _hint(self, hint: TickHint) -> None:
        self._notify("ticks", msgspec.json.encode(hint).decode())

    def _notify(self, channel: str, payload: str) -> None:
        """Off the caller's thread, which may be an event loop."""
        self._in_background(lambda: self._send(channel, payload))

    def _in_background(self, work: Callable[[], None]) -> bool:
        """Whether there was a place for it."""
        if not self._hint_places.acquire(blocking=False):
            return False
        self._hints.submit(work).add_done_callback(lambda _: self._hint_places.release())
        return True

    def _pass_on_news(self) -> None:
        for events in self._passing.notes():
            note = PassingNote(node=self._parts.options.node, events=msgspec.Raw(events))
            self._send(PASSING_CHANNEL, msgspec.json.encode(note).decode())

    def _hear_news(self, payload: str) -> None:
        if payload:
            note = msgspec.json.decode(payload, type=PassingNote)
            if note.node != self._parts.options.node:
                self._passing.heard(note.events)

    def _send(self, channel: str, payload: str) -> None:
        try:
            self._notifier.notify(channel, payload)
        except StoreUnavailable:
            return  # a hint: periodic passes find what it was about
