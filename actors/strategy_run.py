"""StrategyRun: carries one run through its ticks. Every decision is `core.tick`'s; this actor performs effects.

It starts from its row, first settles the fate of its open orders (a new lease holder, a restart), then takes ticks.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actors.journal import JournalBuffer
from actors.messages import (
    AdapterFailed,
    AdapterRecovered,
    ClaimedTick,
    EvaluateSlot,
    Reconciled,
    ReconcileRun,
    Record,
    Recorded,
    RunChanged,
    StrategyFaulted,
    SubmitOrder,
    SyncVenue,
    TickDue,
    VenueSynced,
)
from actors.run_tick import (
    AttemptDue,
    ExitLease,
    ExitOwed,
    LoadAgain,
    Loaded,
    LoadFailed,
    Released,
    Tick,
    TrustOver,
    facts_of,
    tick_row,
    why,
)
from actors.runtime.behaviour import Behaviour, Context
from core import tick as ticking
from core.backoff import Backoff
from core.errors import Reason
from core.ids import MAX_ATTEMPTS, RunId
from core.lease import Lease, may_start, trusted_until
from core.market import SymbolRules
from core.order import NotPlaced, Order, releases
from core.position import FLAT
from core.risk import gate
from core.run import Run, RunStatus, TradingMode
from core.signal import Action, Signal
from core.tick import (
    Facts,
    Finish,
    GiveUp,
    Moved,
    Propose,
    RetryAfter,
    Step,
    Submit,
    TickEnd,
    TickNews,
    Working,
)
from schema.ops import (
    EndLeg,
    FillSettled,
    IntentCommitted,
    IntentRefused,
    ObserveOrder,
    OpRefused,
    OrderMoved,
    ProposeIntent,
)
from schema.records import Account, ExecutionStatus, TickStatus
from schema.store import Store

PROPOSE_TIMEOUT_S = 1.0
"""What an intent transaction may take; it is not begun when trust in the lease ends sooner."""

RELOAD = Backoff(min_s=0.2, max_s=5.0)
OWED_EXIT = Backoff(min_s=5.0, max_s=60.0)


class StrategyRun(Behaviour):
    __slots__ = (
        "_account",
        "_account_read_s",
        "_draining",
        "_failed_loads",
        "_journal",
        "_lease_s",
        "_position",
        "_ready",
        "_rules",
        "_run",
        "_run_id",
        "_stashed",
        "_store",
        "_tick",
        "_worker",
    )

    def __init__(
        self,
        ctx: Context,
        *,
        run_id: RunId,
        store: Store,
        journal: JournalBuffer,
        rules: Mapping[str, SymbolRules],
        worker: str,
        lease_s: float,
    ) -> None:
        super().__init__(ctx)
        self._run_id = run_id
        self._store = store
        self._journal = journal
        self._rules = rules
        self._worker = worker
        self._lease_s = lease_s
        self._run: Run | None = None
        self._account: Account | None = None
        self._account_read_s = float("-inf")
        self._position = FLAT
        self._tick: Tick | None = None
        self._stashed: TickDue | None = None
        self._ready = False
        self._draining = False
        self._failed_loads = 0

    def started(self) -> None:
        self._load()

    def draining(self) -> None:
        self._draining = True
        if self._tick is None:
            self.ctx.stop()

    def receive(self, message: object) -> None:
        match message:
            case TickDue():
                self._due(message)
            case Recorded():
                self._recorded(message)
            case VenueSynced():
                self._synced(message)
            case Loaded():
                self._loaded(message)
            case Reconciled():
                self._become_ready()
            case RunChanged():
                self._changed(message.run)
            case AttemptDue() | TrustOver():
                self._woken(message)
            case ExitOwed():
                self._ask_exit_lease(message)
            case ExitLease():
                self._resume_exit(message)
            case Released():
                pass
            case LoadFailed():
                self.ctx.after(RELOAD.delay_s(self._failed_loads, 0.0), LoadAgain())
                self._failed_loads += 1
            case LoadAgain():
                self._load()
            case _:
                raise TypeError(f"{self.ctx.name} cannot handle {type(message).__name__}")

    # -- starting from the row ------------------------------------------------------------------

    def _load(self) -> None:
        self._ready = False
        run_id, store = self._run_id, self._store

        def read() -> Loaded:
            state = store.run_state(run_id)
            account_id = state.run.account_id if state is not None else None
            return Loaded(state, None if account_id is None else store.account(account_id))

        self.ctx.call(read, lambda loaded: loaded, LoadFailed)

    def _loaded(self, loaded: Loaded) -> None:
        self._failed_loads = 0
        if loaded.state is None:
            self.ctx.stop()
            return
        self._run = loaded.state.run
        self._position = loaded.state.position
        self._account = loaded.account
        self._account_read_s = self.ctx.clock.monotonic()
        for order in loaded.state.open_orders:
            self._end_leg_of(order)
        if loaded.state.open_orders:
            ask = ReconcileRun(run=self._run, orders=loaded.state.open_orders)
            self.ctx.ref("gateway").tell(ask)
        else:
            self._become_ready()

    def _become_ready(self) -> None:
        self._ready = True
        stashed, self._stashed = self._stashed, None
        if stashed is not None:
            self._due(stashed)

    def _changed(self, run: Run) -> None:
        if self._run is not None and run.version >= self._run.version:
            self._run = run

    # -- a tick ---------------------------------------------------------------------------------

    def _due(self, due: TickDue) -> None:
        run = self._run
        if self._draining:
            return  # no new work; the lease runs out and the slot is closed as interrupted
        if not self._ready or run is None:
            self._stashed = due
            return
        if self._tick is not None:
            self._abandon(self._tick)
        claim = due.tick.claim
        if claim.run_version > run.version:  # an older one: the row has moved on since, and we know
            self._stashed = due
            self._load()
            return
        self._begin(due, run)

    def _begin(self, due: TickDue, run: Run) -> None:
        claim, clock = due.tick.claim, self.ctx.clock
        flat = self._position.quantity == 0
        if claim.status is not RunStatus.ACTIVE or run.status is not RunStatus.ACTIVE:
            return self._end_at_once(due, TickStatus.SKIPPED, Reason.NOT_ACTIVE)
        if claim.kill_switch:
            return self._end_at_once(due, TickStatus.BLOCKED, Reason.KILL_SWITCH)
        blocked = gate(claim.risk, claim.limits, clock.now())
        if blocked is not None and flat:
            return self._end_at_once(due, TickStatus.BLOCKED, blocked)
        evaluation = due.evaluation
        if evaluation is None:
            ask = EvaluateSlot(definition=run.strategy, slot=claim.slot, ticks=(due.tick,))
            self.ctx.ref("evaluator").tell(ask)
            return None
        signal = evaluation.signal
        if signal is None:
            if evaluation.status is ExecutionStatus.FAILED:
                fault = StrategyFaulted(run_id=run.id, detail=evaluation.detail or "the strategy failed")
                self.ctx.ref("runs").tell(fault)
                return self._end_at_once(due, TickStatus.ERROR, evaluation.reason)
            return self._end_at_once(due, TickStatus.SKIPPED, evaluation.reason)
        if signal.action is Action.HOLD or run.trading_mode is TradingMode.SIGNALS:
            return self._end_at_once(due, TickStatus.OK, None)
        self._tick = Tick(due=due.tick, evaluation=evaluation, blocked=blocked)
        if flat:
            return self._work()
        self.ctx.ref("gateway").tell(SyncVenue(run=run, slot=claim.slot))
        return self._watch_trust(due.tick)

    def _synced(self, synced: VenueSynced) -> None:
        tick = self._tick
        if tick is not None and tick.working is None and tick.due.claim.slot == synced.slot:
            self._work()

    def _work(self) -> None:
        tick = self._tick
        assert tick is not None
        self._perform(tick, ticking.begin(self._facts(tick)))
        if self._tick is not None:
            self._watch_trust(tick.due)

    def _advance(self, news: TickNews) -> None:
        tick = self._tick
        if tick is None or tick.working is None:
            return
        self._perform(tick, ticking.advance(tick.working, news, self._facts(tick)))

    def _facts(self, tick: Tick) -> Facts:
        run, account = self._run, self._account
        assert run is not None
        read_after_claim = self._account_read_s >= tick.due.asked_at_s
        return facts_of(
            tick,
            run=run,
            position=self._position,
            account=account,
            money_from_claim=not read_after_claim,
            rules=self._rules[run.strategy.symbol],
            now=self.ctx.clock.now(),
        )

    def _perform(self, tick: Tick, step: Step) -> None:
        before = tick.working
        working, effects = step
        if working is not None:
            tick.working = working
        for effect in effects:
            match effect:
                case Propose():
                    self._propose(tick, effect)
                case Submit():
                    self.ctx.ref("gateway").tell(SubmitOrder(order=effect.order))
                case RetryAfter():
                    self.ctx.after(effect.seconds, AttemptDue(tick.due.claim.fence))
                case GiveUp():
                    self._record(EndLeg(client_order_id=effect.order.client_order_id))
                case Finish():
                    self._finish(tick, before, effect)

    def _propose(self, tick: Tick, propose: Propose) -> None:
        claim = tick.due.claim
        lease = Lease(
            run_id=self._run_id,
            owner=self._worker,
            fence=claim.fence,
            trusted_until_s=tick.due.trusted_until_s,
        )
        if not may_start(lease, effect_timeout_s=PROPOSE_TIMEOUT_S, monotonic_s=self.ctx.clock.monotonic()):
            self._advance(ticking.OutOfTime())
            return
        order = msgspec.structs.replace(propose.order, fence=claim.fence)
        self._record(ProposeIntent(order=order, deadline=propose.deadline, why=why(tick)))

    def _record(self, op: ProposeIntent | EndLeg | ObserveOrder) -> None:
        assert self._run is not None
        record = Record(user_id=self._run.user_id, op=op, reply_to=self.ctx.name)
        self.ctx.ref("risk_ledger").tell(record)

    # -- news -----------------------------------------------------------------------------------

    def _recorded(self, recorded: Recorded) -> None:
        result = recorded.result
        match result:
            case IntentCommitted():
                if self._awaits(result.order):
                    self._advance(result.order)
                else:
                    self._withdraw(result.order)
            case IntentRefused():
                if self._awaits(result.order):
                    self._advance(ticking.Refused(result.reason))
            case OrderMoved():
                if not self._is_at_work(result.order):
                    self._end_leg_of(result.order)
                elif result.changed:
                    self._advance(Moved(result.order, recorded.failure))
            case FillSettled():
                self._position = result.position
                self._account = result.account
                self._account_read_s = self.ctx.clock.monotonic()
                if result.order is not None and self._is_at_work(result.order):
                    self._advance(Moved(result.order, recorded.failure))
            case OpRefused():
                if result.impossible:
                    fault = StrategyFaulted(run_id=self._run_id, detail=result.sentence)
                    self.ctx.ref("runs").tell(fault)
            case _:
                raise TypeError(f"{self.ctx.name} cannot handle {type(result).__name__}")

    def _awaits(self, order: Order) -> bool:
        """Whether `order` is the proposal the tick at work waits for."""
        tick = self._tick
        if tick is None or tick.working is None or tick.due.claim.fence != order.fence:
            return False
        working = tick.working
        return (working.leg, working.attempt) == (order.leg, order.attempt)

    def _is_at_work(self, order: Order) -> bool:
        tick = self._tick
        if tick is None or tick.working is None or tick.working.order is None:
            return False
        return tick.working.order.client_order_id == order.client_order_id

    def _end_leg_of(self, order: Order) -> None:
        """No tick is left to try again: what the order reserved for nothing is given back."""
        if releases(order):
            self._record(EndLeg(client_order_id=order.client_order_id))

    def _withdraw(self, order: Order) -> None:
        """The tick that proposed it is over; nobody will send it."""
        abandoned = ObserveOrder(client_order_id=order.client_order_id, event=NotPlaced("abandoned"))
        self._record(abandoned)

    def _woken(self, timer: AttemptDue | TrustOver) -> None:
        tick = self._tick
        if tick is None or tick.due.claim.fence != timer.fence:
            return
        if isinstance(timer, AttemptDue):
            self._advance(ticking.RetryDue())
        elif tick.working is None:
            self._finish(tick, None, Finish(TickEnd.SKIPPED, Reason.MARKET_DATA))
        else:
            self._advance(ticking.OutOfTime())

    def _watch_trust(self, due: ClaimedTick) -> None:
        left_s = max(0.0, due.trusted_until_s - PROPOSE_TIMEOUT_S - self.ctx.clock.monotonic())
        self.ctx.after(left_s, TrustOver(due.claim.fence))

    # -- ends -----------------------------------------------------------------------------------

    def _end_at_once(self, due: TickDue, status: TickStatus, reason: Reason | None) -> None:
        signal = None if due.evaluation is None else due.evaluation.signal
        self._write(due.tick, status, reason, signal)

    def _finish(self, tick: Tick, before: Working | None, finish: Finish) -> None:
        working = tick.working or before
        self._tick = None
        if working is not None:
            self._report_adapter(tick, working)
            if ticking.owes_exit(working, self._position) and working.attempt < MAX_ATTEMPTS:
                wait_s = OWED_EXIT.delay_s(working.attempt // ticking.MAX_ATTEMPTS, 0.0)
                self.ctx.after(wait_s, ExitOwed(tick, working.attempt + 1))
        if tick.owed:
            lease = (self._run_id, tick.due.claim.fence)
            self.ctx.call(lambda: self._store.release([lease]), lambda _: Released(), lambda _: Released())
        else:
            self._write(tick.due, TickStatus(finish.end), finish.reason, tick.evaluation.signal)
        if self._draining:
            self.ctx.stop()

    def _abandon(self, tick: Tick) -> None:
        """A newer claim is here: the older tick's lease is lost, and what it still hears is an observation."""
        self._finish(tick, tick.working, Finish(TickEnd.ERROR, Reason.LEASE_LOST))

    def _write(
        self,
        due: ClaimedTick,
        status: TickStatus,
        reason: str | None,
        signal: Signal | None,
    ) -> None:
        clock = self.ctx.clock
        row = tick_row(
            due,
            status=status,
            reason=reason,
            signal=signal,
            finished_at=clock.now(),
            latency_ms=max(0.0, clock.monotonic() - due.closed_at_s) * 1_000,
            worker=self._worker,
        )
        self._journal.ticked(row)

    def _report_adapter(self, tick: Tick, working: Working) -> None:
        if working.venue_failure is not None:
            detail = working.order.reason if working.order is not None else None
            failed = AdapterFailed(
                run_id=self._run_id,
                slot=tick.due.claim.slot,
                kind=working.venue_failure,
                detail=detail or working.venue_failure,
            )
            self.ctx.ref("runs").tell(failed)
        elif working.venue_called and self._run is not None and self._run.adapter_errors:
            self.ctx.ref("runs").tell(AdapterRecovered(run_id=self._run_id))

    # -- exits are tried until flat, each later attempt under a lease of its own (decision 21) ---

    def _ask_exit_lease(self, owed: ExitOwed) -> None:
        if self._tick is not None or self._position.is_flat:
            return  # a newer tick decides, or the venue closed the position meanwhile
        store, run_id, asked_at_s = self._store, self._run_id, self.ctx.clock.monotonic()
        self.ctx.call(
            lambda: store.acquire(run_id, owner=self._worker, ttl_s=self._lease_s),
            lambda fence: ExitLease(owed, fence, asked_at_s),
            lambda _: ExitLease(owed, None, asked_at_s),
        )

    def _resume_exit(self, lease: ExitLease) -> None:
        if lease.fence is None or self._tick is not None:
            if self._tick is None:
                self.ctx.after(OWED_EXIT.min_s, lease.owed)
            return
        before = lease.owed.tick
        claim = msgspec.structs.replace(before.due.claim, fence=lease.fence)
        due = ClaimedTick(
            claim=claim,
            asked_at_s=lease.asked_at_s,
            closed_at_s=before.due.closed_at_s,
            trusted_until_s=trusted_until(lease.asked_at_s, self._lease_s),
            source=before.due.source,
        )
        tick = self._tick = Tick(due=due, evaluation=before.evaluation, owed=True)
        if self._position.is_flat:
            self._finish(tick, None, Finish(TickEnd.OK))
            return
        self._perform(tick, ticking.resume_exit(self._facts(tick), attempt=lease.owed.attempt))
        if self._tick is not None:
            self._watch_trust(due)
