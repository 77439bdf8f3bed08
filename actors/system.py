"""The composition root: which actors there are, in which order they start, and what each is given.

The same specs run live, in replay and in simulation; what differs is passed in as `Parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from actors.connection import Connection
from actors.evaluator import Evaluator
from actors.external import External
from actors.feed import Feed
from actors.gateway import ExchangeGateway
from actors.journal import FLUSH_AFTER_S, Journal, JournalBuffer
from actors.live.account import LiveParts
from actors.live.known import RuleBook, VenueKnowledge
from actors.market_data import MarketData
from actors.paper import only_paper, paper_venues
from actors.permit import Permits, StorePermits
from actors.risk_ledger import RiskLedger
from actors.runs import RunsSupervisor
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.spec import ChildSpec, Intensity, Supervision
from actors.runtime.system import ActorSystem
from actors.sandbox.judge import AskCode
from actors.scheduler import CLAIM_LEAD, Scheduler
from actors.strategy_run import StrategyRun
from actors.strategy_watch import Shadows
from actors.venue_calls import MakeVenue
from actors.windows import Windows
from core.backoff import Backoff
from core.ids import AccountId, NodeId, RunId
from core.market import SymbolRules
from schema.records import Node
from schema.store import LIVE_NODE_S, Store

BACKOFF = Backoff(min_s=0.1, max_s=5.0, random_factor=0.2)
PAUSE_SWEEP_POLLS = 6
"""Pauses that ran out elsewhere are looked for every so many polls of the rows."""

SHARED_MAILBOX = 200_000
"""Messages a shared actor may have waiting; a slot of 100,000 runs fits."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a process runs its share. Seconds of process time, except `claim_lead` (market time).

    `safety_s` and `poll_s` 0: no periodic passes (replay). `node_live_s`: a process silent for longer counts as dead.
    `preload`: load this range of the feed at once; `array_signals`: and let array forms say where a strategy holds.
    `enabled` False: the ledger answers, but nothing is claimed and no run has an actor.
    """

    node: NodeId
    version: str
    worker: str
    lease_s: float = 120.0
    grace_s: float = 5.0
    safety_s: float = 10.0
    poll_s: float = 10.0
    node_live_s: float = LIVE_NODE_S
    flush_after_s: float = FLUSH_AFTER_S
    claim_lead: timedelta = CLAIM_LEAD
    enabled: bool = True
    preload: tuple[datetime, datetime] | None = None
    array_signals: bool = False


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the actors are wired to."""

    store: Store
    feed: Feed
    rules: Mapping[str, SymbolRules]
    options: Options
    windows: Windows = msgspec.field(default_factory=Windows)
    journal: JournalBuffer = msgspec.field(default_factory=JournalBuffer)
    knowledge: VenueKnowledge = msgspec.field(default_factory=VenueKnowledge)
    on_nodes: Callable[[Sequence[Node]], None] = lambda nodes: None
    """Told which processes beat, whenever this one has looked."""
    on_loaded: Callable[[int], None] = lambda runs: None
    """Told that so many more runs have their actors' state, once nobody waits for it."""
    venues: Callable[[MakeVenue], MakeVenue] = only_paper
    """Makes the venues of all accounts; given what makes the paper ones."""
    permits: Permits | None = None
    """What every order is re-read by; None: the store, where it is in memory."""
    code: AskCode | None = None
    """Runs strategies that are code; without it they are skipped."""
    shadows: Shadows | None = None
    """Repeats a share of what code answers, to see whether it answers alike."""
    read_connection: Callable[[AccountId], None] = lambda account_id: None
    """Reads what a connection's venue is made from, ahead of it; blocks."""


def start(system: ActorSystem, parts: Parts) -> None:
    """Start all actors in order; raises StartFailed with nothing left running."""
    supervision = Supervision(intensity=Intensity(max_restarts=5, window_s=60.0))
    system.start(specs(system, parts), supervision)


def specs(system: ActorSystem, parts: Parts) -> list[ChildSpec]:
    """The shared actors and the two supervisors of dynamic children, in start order."""
    store, feed, windows, options = parts.store, parts.feed, parts.windows, parts.options
    journal = parts.journal
    ledger = [
        _shared(
            "journal",
            lambda ctx: Journal(ctx, store=store, buffer=journal, flush_after_s=options.flush_after_s),
        ),
        _shared(
            "risk_ledger",
            lambda ctx: RiskLedger(
                ctx, store=store, tally=journal.tally, sweep_s=options.poll_s * PAUSE_SWEEP_POLLS
            ),
        ),
    ]
    if not options.enabled:
        return ledger
    return [
        *ledger,
        _shared(
            "market_data",
            lambda ctx: MarketData(ctx, feed=feed, windows=windows, journal=journal, preload=options.preload),
        ),
        _shared(
            "evaluator",
            lambda ctx: Evaluator(
                ctx,
                windows=windows,
                journal=journal,
                rules=parts.rules,
                worker=options.worker,
                array_signals=options.array_signals,
                code=parts.code,
                shadows=parts.shadows,
            ),
        ),
        _gateway(system, parts),
        _shared(
            "scheduler",
            lambda ctx: Scheduler(
                ctx,
                store=store,
                journal=journal,
                worker=options.worker,
                lease_s=options.lease_s,
                grace_s=options.grace_s,
                safety_s=options.safety_s,
                lead=options.claim_lead,
            ),
        ),
        _shared(
            "external",
            lambda ctx: External(
                ctx,
                store=store,
                feed=feed,
                rules=parts.rules,
                journal=journal,
                worker=options.worker,
                lease_s=options.lease_s,
                safety_s=options.safety_s,
            ),
        ),
        _runs(parts, journal),
    ]


def _gateway(system: ActorSystem, parts: Parts) -> ChildSpec:
    paper = paper_venues(feed=parts.feed, rules=parts.rules, clock=system.clock, sleep=system.effects.sleep)
    make_venue = parts.venues(paper)

    def make_connection(ctx: Context, account_id: AccountId) -> Connection:
        return Connection(
            ctx,
            account_id=account_id,
            store=parts.store,
            permits=parts.permits or StorePermits(parts.store),
            make_venue=make_venue,
            funding=parts.feed.funding,
            live=live_parts(parts),
        )

    return _shared(
        "gateway", lambda ctx: ExchangeGateway(ctx, make_connection=make_connection), dispatcher="loop"
    )


def live_parts(parts: Parts) -> LiveParts:
    return LiveParts(
        knowledge=parts.knowledge,
        worker=parts.options.worker,
        lease_s=parts.options.lease_s,
        check_s=parts.options.poll_s,
        read=parts.read_connection,
        marks=parts.feed.marks,
    )


def _runs(parts: Parts, journal: JournalBuffer) -> ChildSpec:
    options = parts.options

    def make_run(ctx: Context, run_id: RunId) -> Behaviour:
        return StrategyRun(
            ctx,
            run_id=run_id,
            store=parts.store,
            journal=journal,
            rules=RuleBook(parts.rules, parts.knowledge),
            knowledge=parts.knowledge,
            worker=options.worker,
            lease_s=options.lease_s,
        )

    def supervisor(ctx: Context) -> RunsSupervisor:
        return RunsSupervisor(
            ctx,
            store=parts.store,
            node=options.node,
            version=options.version,
            make_run=make_run,
            poll_s=options.poll_s,
            node_live_s=options.node_live_s,
            on_nodes=parts.on_nodes,
            on_loaded=parts.on_loaded,
        )

    return _shared("runs", supervisor, dispatcher="control")


def _shared(name: str, factory: Callable[[Context], Behaviour], *, dispatcher: str = "cpu") -> ChildSpec:
    return ChildSpec(
        id=name,
        factory=factory,
        backoff=BACKOFF,
        dispatcher=dispatcher,
        mailbox_capacity=SHARED_MAILBOX,
    )
