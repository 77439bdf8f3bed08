"""StrategyRun: carries one run through its ticks. Every decision is `core.tick`'s; this actor performs effects.

It starts from its row, first settles the fate of its open orders (a new lease holder, a restart), then takes ticks.
"""

from __future__ import annotations

import msgspec

from actors.journal import JournalBuffer
from actors.live.known import RuleBook, VenueKnowledge
from actors.messages import (
    ClaimedTick,
    Evaluation,
    Reconciled,
    Recorded,
    RowsOutdated,
    RunChanged,
    StrategyFaulted,
    SubmitOrder,
    SyncVenue,
    TickDue,
    VenueSynced,
)
from actors.owed_exit import ExitDue, ExitLease, OwedExit, Released
from actors.own_orders import OwnOrders
from actors.run_rows import Loaded, LoadFailed, RowsWanted
from actors.run_tick import (
    OUTDATED,
    AttemptDue,
    LoadAgain,
    ReconcileDue,
    Tick,
    TrustOver,
    adapter_news,
    asked_anew,
    bars_entry,
    facts_of,
    lease_of,
    order_at_work,
    seen_from,
    why,
)
from actors.runtime.behaviour import Behaviour, Context
from actors.unsettled import Unsettled
from core import tick as ticking
from core.backoff import Backoff
from core.errors import Reason
from core.ids import RunId
from core.lease import may_start
from core.order import Order
from core.position import FLAT
from core.risk import gate
from core.run import Run, RunStatus, TradingMode
from core.signal import Action
from core.strategies.external import is_external
from core.tick import Facts, Finish, GiveUp, Moved, Propose, RetryAfter, Step, Submit, TickEnd, TickNews
from schema.ops import (
    FillSettled,
    IntentCommitted,
    IntentRefused,
    LedgerOp,
    OpRefused,
    OrderMoved,
    PositionChecked,
    ProposeIntent,
)
from schema.records import Account, ExecutionStatus, TickStatus
from schema.store import Store

PROPOSE_TIMEOUT_S = 1.0
"""What an intent transaction may take; it is not begun when trust in the lease ends sooner."""

RELOAD = Backoff(min_s=0.2, max_s=5.0)


# Looked up once: an enum's member costs a hold more than the comparison it is for.
_ACTIVE, _HOLD, _SIGNALS = RunStatus.ACTIVE, Action.HOLD, TradingMode.SIGNALS
_OK, _BLOCKED = TickStatus.OK, TickStatus.BLOCKED


class StrategyRun(Behaviour):
    __slots__ = (
        "_account",
        "_account_read_s",
        "_clock",
        "_draining",
        "_failed_loads",
        "_fence",
        "_heard",
        "_journal",
        "_orders",
        "_owed",
        "_position",
        "_ready",
        "_rules",
        "_run",
        "_run_id",
        "_stashed",
        "_tick",
        "_unsettled",
        "_worker",
    )

    def __init__(
        self,
        ctx: Context,
        *,
        run_id: RunId,
        store: Store,
        journal: JournalBuffer,
        rules: RuleBook,
        knowledge: VenueKnowledge,
        worker: str,
        lease_s: float,
    ) -> None:
        super().__init__(ctx)
        self._clock = ctx.clock
        self._run_id = run_id
        self._journal = journal
        self._rules = rules
        self._worker = worker
        self._owed = OwedExit(ctx, store=store, worker=worker, lease_s=lease_s)
        self._run: Run | None = None
        self._account: Account | None = None
        self._account_read_s = float("-inf")
        self._position = FLAT
        self._tick: Tick | None = None
        self._stashed: TickDue | None = None
        self._ready = False
        self._draining = False
        self._failed_loads = 0
        self._heard = 0
        # The highest fence heard of: a claim that follows a higher one means that another process has decided since.
        self._fence = 0
        self._unsettled = Unsettled(ctx)
        self._orders = OwnOrders(ctx, knowledge)

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
            case Reconciled() | Released():
                pass
            case ReconcileDue():
                self._reconcile()
            case RunChanged():
                self._changed(message.run)
            case AttemptDue() | TrustOver():
                self._woken(message)
            case ExitDue():
                self._exit_due(message)
            case ExitLease():
                self._resume_exit(message)
            case LoadFailed():
                if message.life == self.ctx.incarnation:
                    self.ctx.after(RELOAD.delay_s(self._failed_loads, 0.0), LoadAgain())
                    self._failed_loads += 1
            case LoadAgain() | RowsOutdated():
                self._load()
            case _:
                raise TypeError(f"{self.ctx.name} cannot handle {type(message).__name__}")

    # -- starting from the row ------------------------------------------------------------------

    def _load(self) -> None:
        self._ready = False
        wanted = RowsWanted(run_id=self._run_id, life=self.ctx.incarnation, heard=self._heard)
        self.ctx.ref("runs").tell(wanted)

    def _loaded(self, loaded: Loaded) -> None:
        if loaded.life != self.ctx.incarnation:
            return  # read for the state before this one
        self._failed_loads = 0
        if loaded.start is None:
            self.ctx.stop()
            return
        state, recent = loaded.start.state, loaded.start.recent
        if loaded.heard != self._heard:  # a fill was settled while the row was read
            self._load()
            return
        if self._run is not None and state.fence > self._fence:
            self._unsettled.read_account_again(self._run)
        self._run = state.run
        self._fence = max(self._fence, state.fence)
        self._position = state.position
        self._account = loaded.start.account
        self._account_read_s = self.ctx.clock.monotonic()
        for order in recent:
            self._orders.end_leg_of(order)
        if recent:
            self._owed.news_of(recent[0], self._position)
        self._unsettled.found(state.open_orders)
        self._reconcile()
        self._ready = True
        stashed, self._stashed = self._stashed, None
        if stashed is not None:
            self._due(stashed)

    def _reconcile(self) -> None:
        run = self._run
        if run is None or self._draining:
            return
        # A live account is followed from the first: it has to know its venue before anything can be ordered there.
        if self._unsettled or not self._position.is_flat or run.trading_mode is TradingMode.LIVE:
            self._unsettled.reconcile(run, self._position.opened_at)

    def _load_all_again(self) -> None:
        """Another process has traded for this run: neither it nor its account's actor here has heard of it."""
        if self._run is not None:
            self._unsettled.read_account_again(self._run)
        self._load()

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
        known, self._fence = self._fence, max(self._fence, claim.fence)
        if claim.previous_fence > known:
            self._stashed = due
            self._load_all_again()
            return
        if claim.run_version > run.version:  # an older one: the row has moved on since, and we know
            self._stashed = due
            self._load()
            return
        self._begin(due, run)

    def _begin(self, due: TickDue, run: Run) -> None:
        claim = due.tick.claim
        flat = not self._position.quantity
        if claim.status is not _ACTIVE or run.status is not _ACTIVE:
            return self._end_at_once(due, TickStatus.SKIPPED, Reason.NOT_ACTIVE)
        if claim.kill_switch:
            return self._end_at_once(due, TickStatus.BLOCKED, Reason.KILL_SWITCH)
        now, blocked = self._clock.now(), due.tick.blocked
        if now != due.tick.gated_at:
            blocked = gate(claim.risk, claim.limits, now)
        if blocked is None and self._unsettled:
            blocked = Reason.UNKNOWN_ORDER
        if blocked is not None and flat:
            return self._end_at_once(due, _BLOCKED, blocked)
        evaluation = due.evaluation
        outdated = due.tick.strategy_version != run.strategy.version and not is_external(run.strategy)
        if evaluation is None or outdated:
            ask = asked_anew(due.tick, run, self._position)
            if ask is None:
                return self._end_at_once(due, TickStatus.SKIPPED, Reason.SETTINGS_CHANGED)
            self.ctx.ref("evaluator").tell(ask)
            return None
        if evaluation.closes:
            evaluation = seen_from(evaluation, self._position)
        evaluation = self._owed.instead_of(evaluation, self._position)
        signal = evaluation.signal
        if signal is None:
            if evaluation.status is ExecutionStatus.FAILED:
                fault = StrategyFaulted(run_id=run.id, detail=evaluation.detail or "the strategy failed")
                self.ctx.ref("runs").tell(fault)
                return self._end_at_once(due, TickStatus.ERROR, evaluation.reason)
            return self._end_at_once(due, TickStatus.SKIPPED, evaluation.reason)
        if signal.action is _HOLD or run.trading_mode is _SIGNALS:
            return self._end_at_once(due, _OK, None)
        blocked = blocked or bars_entry(due, run)
        if flat:
            planned = ticking.plan(run=run, position=self._position, signal=signal, blocked=blocked)
            if not planned.legs:
                return self._end_at_once(due, TickStatus(planned.end), planned.reason)
        if self._rules.of(run) is None:
            return self._end_at_once(due, TickStatus.SKIPPED, Reason.NO_RULES)
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
        rules = self._rules.of(run)
        assert rules is not None  # or no tick would be at work
        read_after_claim = self._account_read_s >= tick.due.asked_at_s
        return facts_of(
            tick,
            run=run,
            position=self._position,
            account=account,
            money_from_claim=not read_after_claim,
            rules=rules,
            now=self.ctx.clock.now(),
        )

    def _perform(self, tick: Tick, step: Step) -> None:
        tick.working, effects = step
        for effect in effects:
            match effect:
                case Propose():
                    self._propose(tick, effect)
                case Submit():
                    assert self._run is not None
                    submit = SubmitOrder(order=effect.order, settings=self._run.settings)
                    if not self.ctx.tell("gateway", submit):
                        self._orders.unsent(effect.order)
                case RetryAfter():
                    self.ctx.after(effect.seconds, AttemptDue(tick.due.claim.fence))
                case GiveUp():
                    self._orders.give_up(effect.order)
                case Finish():
                    self._finish(tick, effect)

    def _propose(self, tick: Tick, propose: Propose) -> None:
        claim = tick.due.claim
        lease = lease_of(tick, self._worker)
        entering = not propose.order.reduce_only
        if self._draining and entering:
            self._advance(ticking.Refused(Reason.HALTED))
            return
        if not may_start(lease, effect_timeout_s=PROPOSE_TIMEOUT_S, monotonic_s=self.ctx.clock.monotonic()):
            self._advance(ticking.OutOfTime())
            return
        if not entering and not tick.owed:
            self._owed.forget()  # this tick has the exit in its own hands
        order = msgspec.structs.replace(propose.order, fence=claim.fence)
        self._orders.propose(order, propose.deadline, why(tick))

    # -- news -----------------------------------------------------------------------------------

    def _recorded(self, recorded: Recorded) -> None:
        result = recorded.result
        match result:
            case IntentCommitted():
                if self._awaits(result.order):
                    self._advance(result.order)
                else:
                    self._orders.withdraw(result.order)
            case IntentRefused():
                if result.reason is Reason.STORE_UNAVAILABLE:
                    self._orders.withdraw(result.order)  # it may have committed all the same
                if self._awaits(result.order):
                    self._advance(ticking.Refused(result.reason))
                if result.reason in OUTDATED:
                    self._load_all_again()
            case OrderMoved():
                self._order_moved(result.order, changed=result.changed, failure=recorded.failure)
            case FillSettled():
                self._heard += 1
                self._position = result.position
                self._account = result.account
                self._account_read_s = self.ctx.clock.monotonic()
                if result.position.is_flat:
                    self._owed.forget()
                if result.order is not None:
                    self._order_moved(result.order, changed=True, failure=recorded.failure)
            case OpRefused():
                self._op_refused(recorded.op, result)
            case PositionChecked():
                pass  # the ledger refuses entries while the venue holds something else
            case _:
                raise TypeError(f"{self.ctx.name} cannot handle {type(result).__name__}")

    def _order_moved(self, order: Order, *, changed: bool, failure: str | None) -> None:
        if order.is_terminal:
            self._unsettled.settled(order)
        known = order_at_work(self._tick)
        if known is None or known.client_order_id != order.client_order_id:
            self._orders.end_leg_of(order)
            self._owed.news_of(order, self._position)
        elif changed or order.status is not known.status:  # settled before, and the answer was lost
            self._advance(Moved(order, failure))

    def _op_refused(self, op: LedgerOp, refused: OpRefused) -> None:
        if refused.stale:
            self._load_all_again()
        if refused.impossible:
            self.ctx.ref("runs").tell(StrategyFaulted(run_id=self._run_id, detail=refused.sentence))
        if isinstance(op, ProposeIntent) and self._awaits(op.order):
            self._advance(ticking.Refused(Reason.HALTED))

    def _awaits(self, order: Order) -> bool:
        """Whether `order` is the proposal the tick at work waits for."""
        tick = self._tick
        if tick is None or tick.working is None or tick.due.claim.fence != order.fence:
            return False
        working = tick.working
        return (working.leg, working.attempt) == (order.leg, order.attempt)

    def _woken(self, timer: AttemptDue | TrustOver) -> None:
        tick = self._tick
        if tick is None or tick.due.claim.fence != timer.fence:
            return
        if isinstance(timer, AttemptDue):
            self._advance(ticking.RetryDue())
        elif tick.working is None:
            self._finish(tick, Finish(TickEnd.SKIPPED, Reason.MARKET_DATA))
        else:
            self._advance(ticking.OutOfTime())

    def _watch_trust(self, due: ClaimedTick) -> None:
        left_s = max(0.0, due.trusted_until_s - PROPOSE_TIMEOUT_S - self.ctx.clock.monotonic())
        self.ctx.after(left_s, TrustOver(due.claim.fence))

    # -- ends -----------------------------------------------------------------------------------

    def _end_at_once(self, due: TickDue, status: TickStatus, reason: Reason | None) -> None:
        self._write(due.tick, status, reason, due.evaluation)

    def _finish(self, tick: Tick, finish: Finish) -> None:
        working = tick.working
        self._tick = None
        if working is not None:
            news = adapter_news(tick, working, self._run)
            if news is not None:
                self.ctx.ref("runs").tell(news)
            attempt = ticking.owed_attempt(working, self._position)
            if attempt is not None:
                self._owed.owe(working.order, attempt)
        if tick.owed:
            assert self._run is not None
            self._owed.release(tick.due.claim.fence, self._run)
        else:
            self._write(tick.due, TickStatus(finish.end), finish.reason, tick.evaluation)
        if self._draining:
            self.ctx.stop()

    def _abandon(self, tick: Tick) -> None:
        """A newer claim is here: the older tick's lease is lost, and what it still hears is an observation."""
        self._finish(tick, Finish(TickEnd.ERROR, Reason.LEASE_LOST))

    def _write(self, due: ClaimedTick, status: TickStatus, reason: str | None, of: Evaluation | None) -> None:
        self._journal.ended(due, status, reason, of, clock=self._clock, worker=self._worker)

    # -- exits are tried until flat -------------------------------------------------------------

    def _exit_due(self, due: ExitDue) -> None:
        if self._position.is_flat or self._draining:
            self._owed.forget()
        else:
            self._owed.ask_lease(due, busy=self._tick is not None or not self._ready)

    def _resume_exit(self, lease: ExitLease) -> None:
        assert self._run is not None
        self._fence = max(self._fence, lease.fence or 0)
        if self._position.is_flat:
            self._owed.forget()
        busy = self._tick is not None or not self._ready or self._rules.of(self._run) is None
        tick = self._owed.leased(lease, self._run, busy=busy)
        if tick is None:
            return
        self._tick = tick
        self._perform(tick, ticking.resume_exit(self._facts(tick), attempt=lease.due.attempt))
        if self._tick is not None:
            self._watch_trust(tick.due)
