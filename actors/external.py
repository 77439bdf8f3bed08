"""External: signals that come from outside reach the runs they are owed to. Each is a row before it is anything here.

The rows are read when somebody says that one has come, and every now and then. A run is told its earliest signal by
claiming the signal's slot, as any other slot is claimed: once, whichever process is first and whatever dies between.
What nobody claims in time has its row as expired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from actors.evaluator import ID_DIGITS
from actors.feed import Feed
from actors.journal import JournalBuffer
from actors.messages import (
    ClaimedTick,
    EvaluateSlot,
    Evaluation,
    Gone,
    Resident,
    ResidentsWanted,
    SignalsSent,
    StandDown,
    TickDue,
    run_name,
)
from actors.prepared import prepare
from actors.runtime.behaviour import Behaviour, Context
from core.external_signal import ExternalSignal, bars_entry
from core.ids import RunId
from core.lease import trusted_until
from core.market import SymbolRules
from core.risk import gate
from core.run import Run, RunStatus
from exchanges.paper.book import Opening
from schema.external import DueSignal
from schema.records import Ask, Claim, ExecutionRow, ExecutionStatus, Reached, TickSource
from schema.store import MAX_CLAIM_BATCH, Store, StoreUnavailable

LOOK_AGAIN_S = 0.25
"""While something is owed: a run may be at an earlier signal, and another process may have died with its claims."""
AFTER_FAILURE_S = 0.5
PRICE_TIMEOUT_S = 5.0
"""A venue that does not say its price in this time is asked again, until the signal has expired."""


class LookAgain(msgspec.Struct, frozen=True):
    """Something was owed at the last look."""


class Pass(msgspec.Struct, frozen=True):
    """Look, and have what expired closed, whether anybody has said so or not."""


class DueRead(msgspec.Struct, frozen=True):
    due: list[DueSignal]


class LookFailed(msgspec.Struct, frozen=True):
    """The store did not answer."""


class Settled(msgspec.Struct, frozen=True):
    """What had expired has its rows, or could not be written this time."""


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """`opening` None: there is no price to be had."""

    due: DueSignal
    opening: Opening | None


class Won(msgspec.Struct, frozen=True, kw_only=True):
    """Of the runs owed the signal, those in `claims` are ours to tell."""

    signal: ExternalSignal
    price: Decimal
    ask: Ask
    asked_at_s: float
    claims: list[Claim]


class Told(msgspec.Struct, kw_only=True):
    """Who was told of a signal so far; a run it is not owed just now may be owed it again while it is valid."""

    expires_at: datetime
    run_ids: set[RunId] = msgspec.field(default_factory=set)


class External(Behaviour):
    __slots__ = (
        "_again_set",
        "_attempt",
        "_feed",
        "_journal",
        "_lease_s",
        "_look_once_more",
        "_looking",
        "_residents",
        "_rules",
        "_safety_s",
        "_settling",
        "_standing_down",
        "_store",
        "_told",
        "_under_way",
        "_worker",
    )

    def __init__(
        self,
        ctx: Context,
        *,
        store: Store,
        feed: Feed,
        rules: Mapping[str, SymbolRules],
        journal: JournalBuffer,
        worker: str,
        lease_s: float,
        safety_s: float,
    ) -> None:
        super().__init__(ctx)
        self._store = store
        self._feed = feed
        self._rules = rules
        self._journal = journal
        self._worker = worker
        self._lease_s = lease_s
        self._safety_s = safety_s
        self._residents: dict[RunId, Run] = {}
        self._looking = False
        self._look_once_more = False
        self._again_set = False
        self._settling = False
        self._standing_down = False
        # Signals whose price is asked for or whose runs are being claimed; looks meanwhile pass them over.
        self._under_way: set[UUID] = set()
        # While a signal is valid: until the rows of those who were told are written, they are owed it still.
        self._told: dict[UUID, Told] = {}
        self._attempt = 0

    def started(self) -> None:
        self.ctx.tell("runs", ResidentsWanted())  # after a restart; at first nobody is there to hear it
        if self._safety_s:
            self.ctx.after(self._safety_s, Pass(), every=self._safety_s)

    def receive(self, message: object) -> None:
        match message:
            case Resident():
                self._residents[message.run.id] = message.run
                self._look()
            case Gone():
                self._residents.pop(message.run_id, None)
            case SignalsSent():
                self._look()
            case LookAgain():
                self._again_set = False
                self._look()
            case Pass():
                self._settle()
                self._look()
            case DueRead():
                self._read(message.due)
            case LookFailed():
                self._looking = False
                self._again(AFTER_FAILURE_S)
            case Priced():
                self._priced(message)
            case Won():
                self._won(message)
            case Settled():
                self._settling = False
            case StandDown():
                self._standing_down = True
            case _:
                raise TypeError(f"external cannot handle {type(message).__name__}")

    # -- what is owed ---------------------------------------------------------------------------

    def _look(self) -> None:
        if self._standing_down:
            return
        if self._looking:
            self._look_once_more = True
            return
        run_ids = [run.id for run in self._residents.values() if run.status is RunStatus.ACTIVE]
        if not run_ids:
            return
        self._looking, self._look_once_more = True, False
        store = self._store
        self.ctx.call(lambda: store.signals_due(run_ids), DueRead, lambda _: LookFailed())

    def _read(self, due: list[DueSignal]) -> None:
        self._looking = False
        now = self.ctx.clock.now()
        self._told = {signal_id: told for signal_id, told in self._told.items() if now < told.expires_at}
        for each in due:
            signal, told = each.signal, self._told.get(each.signal.id)
            untold = tuple(run_id for run_id in each.run_ids if told is None or run_id not in told.run_ids)
            if signal.id in self._under_way or not untold:
                continue
            if signal.expires_at <= now:
                self._settle()
            else:
                self._under_way.add(signal.id)
                self._ask_price(DueSignal(signal=signal, run_ids=untold))
        if self._look_once_more:
            self._look()
        elif due:
            self._again(LOOK_AGAIN_S)

    def _again(self, seconds: float) -> None:
        if not self._again_set:
            self._again_set = True
            self.ctx.after(seconds, LookAgain())

    def _settle(self) -> None:
        if self._settling or self._standing_down:
            return
        self._settling = True
        store, now = self._store, self.ctx.clock.now()
        self.ctx.call(lambda: store.settle_signals(now=now), lambda _: Settled(), lambda _: Settled())

    # -- what is told ---------------------------------------------------------------------------

    def _ask_price(self, due: DueSignal) -> None:
        """Before anything is claimed: a claim that dies with its process is cut off, an unclaimed signal is not."""
        run = self._any_run(due)
        if run is None:
            self._under_way.discard(due.signal.id)
            return
        strategy = run.strategy
        self.ctx.run(
            self._feed.price(strategy.venue, strategy.symbol, self.ctx.clock.now()),
            lambda opening: Priced(due=due, opening=opening),
            lambda _: Priced(due=due, opening=None),
            timeout_s=PRICE_TIMEOUT_S,
        )

    def _any_run(self, due: DueSignal) -> Run | None:
        return next((self._residents[each] for each in due.run_ids if each in self._residents), None)

    def _priced(self, priced: Priced) -> None:
        due, run, opening = priced.due, self._any_run(priced.due), priced.opening
        signal = due.signal
        rules = None if run is None else self._rules.get(run.strategy.symbol)
        late = signal.expires_at <= self.ctx.clock.now()
        if rules is None or opening is None or late or self._standing_down:
            self._under_way.discard(signal.id)
            self._again(AFTER_FAILURE_S)
            return
        self._claim(signal, rules.price_of(opening.price), due.run_ids)

    def _claim(self, signal: ExternalSignal, price: Decimal, run_ids: Sequence[RunId]) -> None:
        self._attempt += 1
        store, ttl_s, owner = self._store, self._lease_s, f"{self._worker}:external:{self._attempt}"
        ask = Ask(slot=signal.slot, source=TickSource.EXTERNAL, at=signal.received_at)
        asked_at_s = self.ctx.clock.monotonic()

        def claim() -> list[Claim]:
            won: list[Claim] = []
            for first in range(0, len(run_ids), MAX_CLAIM_BATCH):
                batch = run_ids[first : first + MAX_CLAIM_BATCH]
                try:
                    won += store.claim(batch, slot=signal.slot, owner=owner, ttl_s=ttl_s, ask=ask)
                except StoreUnavailable:
                    break  # the others are owed it still; what is won is told
            return won

        def answer(claims: list[Claim]) -> Won:
            return Won(signal=signal, price=price, ask=ask, asked_at_s=asked_at_s, claims=claims)

        self.ctx.call(claim, answer, lambda _: answer([]))

    def _won(self, won: Won) -> None:
        signal, now = won.signal, self.ctx.clock.now()
        self._under_way.discard(signal.id)
        here = [(claim, run) for claim in won.claims if (run := self._residents.get(claim.run_id))]
        if not here:
            return
        ticks = tuple(
            ClaimedTick(
                claim=claim,
                ask=won.ask,
                run=run_name(run.id),
                asked_at_s=won.asked_at_s,
                closed_at_s=won.asked_at_s,
                trusted_until_s=trusted_until(won.asked_at_s, self._lease_s),
                strategy_version=signal.strategy_version,
                gated_at=now,
                blocked=gate(claim.risk, claim.limits, now),
            )
            for claim, run in here
        )
        strategy = here[0][1].strategy
        key = prepare(strategy).key
        evaluation = Evaluation(
            slot=signal.slot,
            status=ExecutionStatus.SUCCESS,
            signal=signal.sent.signal,
            price=won.price,
            bars_entry=bars_entry(signal.sent, won.price),
            expires_at=signal.expires_at,
            closes=signal.sent.closes,
            id=UUID(key[:ID_DIGITS]),
        )
        request = EvaluateSlot(definition=strategy, slot=signal.slot, ticks=ticks)
        self._journal.evaluating(request)
        self._journal.evaluated(request, evaluation)
        self._note(signal, key, evaluation, [claim.run_id for claim in won.claims])
        for tick in ticks:
            self.ctx.tell(tick.run, TickDue(tick=tick, evaluation=evaluation))

    def _note(
        self, signal: ExternalSignal, key: str, evaluation: Evaluation, run_ids: Iterable[RunId]
    ) -> None:
        """The row of its evaluation, by the first who are told; those told later come on top."""
        is_first = signal.id not in self._told
        told = self._told.setdefault(signal.id, Told(expires_at=signal.expires_at)).run_ids
        told.update(run_ids)
        if not is_first:
            more = Reached(evaluation_key=key, slot=signal.slot, worker=self._worker, runs=len(told))
            self._journal.reached_late(more)
            return
        said = signal.sent.signal
        self._journal.executed(
            ExecutionRow(
                evaluation_key=key,
                strategy_id=signal.strategy_id,
                slot=signal.slot,
                worker=self._worker,
                duration_ms=0.0,
                status=evaluation.status,
                action=said.action.value,
                price=None if evaluation.price is None else float(evaluation.price),
                reason=said.reason,
                runs_reached=len(told),
                nodes_executed=0,
            )
        )
