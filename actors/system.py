"""The composition root: which actors there are, in which order they start, and what each is given.

The same specs run live, in replay and in simulation; what differs is passed in as `Parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from actors.connection import Connection
from actors.evaluator import Evaluator
from actors.feed import Feed
from actors.gateway import ExchangeGateway
from actors.journal import FLUSH_AFTER_S, Journal, JournalBuffer
from actors.market_data import MarketData
from actors.paper import paper_venues
from actors.risk_ledger import RiskLedger
from actors.runs import RunsSupervisor
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.spec import ChildSpec, Intensity, Supervision
from actors.runtime.system import ActorSystem
from actors.scheduler import CLAIM_LEAD, Scheduler
from actors.strategy_run import StrategyRun
from actors.windows import Windows
from core.backoff import Backoff
from core.ids import AccountId, NodeId, RunId
from core.market import SymbolRules
from schema.records import Node
from schema.store import Store

BACKOFF = Backoff(min_s=0.1, max_s=5.0, random_factor=0.2)
SHARED_MAILBOX = 200_000
"""Messages a shared actor may have waiting; a slot of 100,000 runs fits."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a process runs its share. Seconds of process time, except `claim_lead` (market time).

    `safety_s` and `poll_s` 0: no periodic passes (replay). `preload`: load this range of the feed at once.
    """

    node: NodeId
    version: str
    worker: str
    lease_s: float = 120.0
    grace_s: float = 5.0
    safety_s: float = 10.0
    poll_s: float = 10.0
    flush_after_s: float = FLUSH_AFTER_S
    claim_lead: timedelta = CLAIM_LEAD
    preload: tuple[datetime, datetime] | None = None


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the actors are wired to."""

    store: Store
    feed: Feed
    rules: Mapping[str, SymbolRules]
    options: Options
    on_nodes: Callable[[Sequence[Node]], None] = lambda nodes: None
    """Told which processes beat, whenever this one has looked."""


def start(system: ActorSystem, parts: Parts) -> None:
    """Start all actors in order; raises StartFailed with nothing left running."""
    supervision = Supervision(intensity=Intensity(max_restarts=5, window_s=60.0))
    system.start(specs(system, parts), supervision)


def specs(system: ActorSystem, parts: Parts) -> list[ChildSpec]:
    """The shared actors and the two supervisors of dynamic children, in start order."""
    store, feed, options = parts.store, parts.feed, parts.options
    windows, journal = Windows(), JournalBuffer()
    make_venue = paper_venues(feed=feed, rules=parts.rules, clock=system.clock, sleep=system.effects.sleep)

    def make_run(ctx: Context, run_id: RunId) -> Behaviour:
        return StrategyRun(
            ctx,
            run_id=run_id,
            store=store,
            journal=journal,
            rules=parts.rules,
            worker=options.worker,
            lease_s=options.lease_s,
        )

    def make_connection(ctx: Context, account_id: AccountId) -> Connection:
        return Connection(
            ctx, account_id=account_id, store=store, make_venue=make_venue, funding=feed.funding
        )

    return [
        ChildSpec(
            id="journal",
            factory=lambda ctx: Journal(
                ctx, store=store, buffer=journal, flush_after_s=options.flush_after_s
            ),
            backoff=BACKOFF,
            mailbox_capacity=SHARED_MAILBOX,
        ),
        ChildSpec(
            id="risk_ledger",
            factory=lambda ctx: RiskLedger(ctx, store=store),
            backoff=BACKOFF,
            mailbox_capacity=SHARED_MAILBOX,
        ),
        ChildSpec(
            id="market_data",
            factory=lambda ctx: MarketData(ctx, feed=feed, windows=windows, preload=options.preload),
            backoff=BACKOFF,
            mailbox_capacity=SHARED_MAILBOX,
        ),
        ChildSpec(
            id="evaluator",
            factory=lambda ctx: Evaluator(
                ctx, windows=windows, journal=journal, rules=parts.rules, worker=options.worker
            ),
            backoff=BACKOFF,
            mailbox_capacity=SHARED_MAILBOX,
        ),
        ChildSpec(
            id="gateway",
            factory=lambda ctx: ExchangeGateway(ctx, make_connection=make_connection),
            backoff=BACKOFF,
            dispatcher="control",
            mailbox_capacity=SHARED_MAILBOX,
        ),
        ChildSpec(
            id="scheduler",
            factory=lambda ctx: Scheduler(
                ctx,
                store=store,
                journal=journal,
                worker=options.worker,
                lease_s=options.lease_s,
                grace_s=options.grace_s,
                safety_s=options.safety_s,
                lead=options.claim_lead,
            ),
            backoff=BACKOFF,
            mailbox_capacity=SHARED_MAILBOX,
        ),
        ChildSpec(
            id="runs",
            factory=lambda ctx: RunsSupervisor(
                ctx,
                store=store,
                node=options.node,
                version=options.version,
                make_run=make_run,
                poll_s=options.poll_s,
                on_nodes=parts.on_nodes,
            ),
            backoff=BACKOFF,
            dispatcher="control",
            mailbox_capacity=SHARED_MAILBOX,
        ),
    ]
