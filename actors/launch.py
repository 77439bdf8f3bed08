"""From settings to a running process: database, store, feed, clock, service; and back down in reverse."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from ssl import create_default_context

import msgspec

from actors.alert_watch import AlertWatch
from actors.config_keeper import ConfigKeeper
from actors.demo import Demo, seed, start_over
from actors.demo_history import store_history
from actors.feed import Feed, HeldFeed, LiveFeed, rules_of
from actors.flattener import Flattener
from actors.key_keeper import KeyKeeper
from actors.key_probe import keys_of
from actors.key_ring import KeyRing
from actors.keys import Keys
from actors.live.access import LiveAccess
from actors.market_clock import MarketClock
from actors.publishers.mail import Mail, server_of
from actors.publishers.notifier import Notifier, Operator, Ways
from actors.publishers.signals_out import event_publisher, signal_publishers
from actors.publishers.traces import TickTraces
from actors.publishers.webhook import Webhooks
from actors.recording.recorder import Recorder
from actors.retention_keeper import RetentionKeeper
from actors.runtime.dead_letters import Sink
from actors.runtime.process_time import process_s
from actors.runtime.spec import ChildSpec
from actors.sandbox.configured import limits_of
from actors.sandbox.pool import Pool
from actors.service import Service
from actors.strategy_watch import Shadows
from actors.system import BACKOFF, Options, Parts
from actors.venue_budgets import SharedVenueBudgets
from core.alerts import Thresholds
from core.clock import Clock
from core.config import Settings
from core.connection import Venue
from core.errors import RunnerError
from core.ids import NodeId
from core.live_settings import LiveSettings
from core.version import VERSION, is_older
from exchanges.feeds.flow_candles import FlowCandles
from exchanges.feeds.looped import MAX_ROUNDS
from exchanges.stand_in import StandIns
from exchanges.venue_host import HostLoad
from exchanges.venues import (
    Address,
    Venues,
    given_address,
    live_candles,
    market_marks,
    market_trades,
    spot_candles,
)
from schema.embedded import EmbeddedPostgres
from schema.migrate import migrate
from schema.notify import PgNotifier
from schema.pg import PgStore
from schema.pg_permits import PgPermits
from schema.pg_retention import PgRetention
from schema.records import Platform
from schema.store import LIVE_NODE_S
from schema.vault import Vault

POLL_S = 10.0
"""How often rows are read anew and a process beats, or thrice a lease where that is sooner."""
_PASSING = NodeId("starting")


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """A database that is up and migrated. `alone`: nobody else was using it when this process came."""

    dsn: str
    alone: bool


@contextmanager
def installation(settings: Settings, folder: Path) -> Iterator[Installation]:
    """DATABASE_URL, or our own server in `folder`; migrated. Raises RunnerError sentences."""
    if settings.database_url is not None:
        dsn = settings.database_url.reveal()
        migrate(dsn)
        yield Installation(dsn=dsn, alone=False)
        return
    with EmbeddedPostgres(folder / "postgres") as server:
        migrate(server.owner_dsn)
        yield Installation(dsn=server.service_dsn, alone=server.first)


@contextmanager
def opened_store(settings: Settings, dsn: str) -> Iterator[PgStore]:
    """A store on the database, closed afterwards."""
    store = PgStore(dsn, default_limits=settings.risk_limits(), worker=settings.worker_id or "runner")
    try:
        yield store
    finally:
        store.close()


def forget_dead_nodes(store: PgStore) -> None:
    """For who came alone: processes that were killed still look alive by their last beat."""
    for node in store.beat(_PASSING, VERSION):
        store.leave(node.id)


def live_service(
    settings: Settings,
    store: PgStore,
    dsn: str,
    sink: Sink,
    vault: Vault | None = None,
    live: LiveSettings | None = None,
) -> Service:
    """A production process on the venues' public candles. Refuses a demo's database (decision 2).

    `vault` opens the keys of connections; without it only paper is traded. `live`: the box that is kept in step with
    what administrators change.
    """
    if store.platform().demo:
        raise RunnerError(
            "This database holds a demo; plain serve needs one of its own (or use serve --demo)."
        )
    given, clock = venue_addresses(settings), MarketClock(store.clock(), process_s)
    budgets = shared_budgets(store)
    trades = market_trades(given, clock=clock, shared=budgets)
    feed = LiveFeed(
        live_candles(given, clock=clock, shared=budgets),
        settings.symbol_whitelist,
        trades=trades,
        marks=market_marks(given, clock=clock),
        flow=FlowCandles(trades, spot_candles(given, clock=clock, shared=budgets), clock=clock),
        given={venue.value: address.rest for venue, address in given.items()},
    )
    return _service(settings, store, dsn, feed, sink, vault=vault, live=live, budgets=budgets)


def open_demo(store: PgStore, demo: Demo, *, speed: float) -> int:
    """Mark the database, set its pace and seed it; the round its stored market time lies in. One process at a time."""
    if not store.platform().demo and store.runs():
        raise RunnerError("This database holds runs that are no demo; serve --demo needs one of its own.")
    clock = store.mark_demo(start=demo.stage.start, rate=speed)
    if clock.rate not in (0.0, speed) or clock.ceiling is None:
        # Under a ceiling from the first moment: nothing is there yet to tick what time would run past.
        rate = speed if clock.rate else None
        clock = store.set_clock(rate=rate, ceiling=clock.ceiling or demo.stage.start)
    round_ = demo.source.round_of(MarketClock(clock, process_s).now())
    seed(store, demo.source, demo.stage, round_=round_)
    store_history(store.market, demo, round_)
    return round_


def next_round(store: PgStore, demo: Demo, round_: int) -> None:
    """Let the demo start over as `round_`, unless it has. One process at a time."""
    start_over(store, demo, round_, now=MarketClock(store.clock(), process_s).now())
    store_history(store.market, demo, round_)


def demo_service(
    settings: Settings,
    store: PgStore,
    dsn: str,
    demo: Demo,
    sink: Sink,
    *,
    round_: int,
    on_data_end: Callable[[], None],
    vault: Vault | None = None,
    around: Callable[[Parts], Parts] = lambda parts: parts,
    live: LiveSettings | None = None,
) -> Service:
    """A demo process, for one round of its candles. `around` wraps what its actors are given.

    Connections trade only at addresses the settings give, which stand in for the venues: never at a venue itself.
    """
    feed = HeldFeed(demo.source, (demo.source.start, demo.source.start_of(MAX_ROUNDS)))
    if not venue_addresses(settings):
        vault = None
    return _service(settings, store, dsn, feed, sink, demo.end_of(round_), on_data_end, vault, around, live)


def _too_old(platform: Platform, sink: Sink) -> bool:
    """Such a process serves reads and trades nothing (invariants §7); looked at once, as it starts."""
    minimum = platform.minimum_version
    if minimum is None or not is_older(VERSION, minimum):
        return False
    sink("too_old", {"version": VERSION, "minimum_version": minimum, "detail": "it trades nothing"})
    return True


def _service(
    settings: Settings,
    store: PgStore,
    dsn: str,
    feed: Feed,
    sink: Sink,
    data_end: datetime | None = None,
    on_data_end: Callable[[], None] | None = None,
    vault: Vault | None = None,
    around: Callable[[Parts], Parts] = lambda parts: parts,
    live: LiveSettings | None = None,
    budgets: SharedVenueBudgets | None = None,
) -> Service:
    budgets = budgets or shared_budgets(store)
    live = live or LiveSettings(settings)
    worker = settings.worker_id or "runner"
    clock = MarketClock(store.clock(), process_s)
    options = Options(
        node=NodeId(worker),
        version=VERSION,
        worker=worker,
        lease_s=settings.runner_lease_sec,
        grace_s=settings.runner_grace_sec,
        safety_s=settings.runner_tick_interval_sec,
        poll_s=min(POLL_S, settings.runner_lease_sec / 6),
        # Together with a poll this is less than a lease: a dead process's runs have a new home before theirs end.
        node_live_s=min(LIVE_NODE_S, settings.runner_lease_sec * 0.7),
        enabled=settings.enable_strategy_runner and not _too_old(store.platform(), sink),
    )
    permits = PgPermits(dsn, worker=worker)
    parts = Parts(store=store, feed=feed, rules=rules_of(feed, {}), options=options, permits=permits)
    more: list[ChildSpec] = []
    venue_loads: Callable[[], Sequence[HostLoad]] = tuple
    if vault is not None:
        access = live_access(settings, store, vault, clock, budgets)
        venue_loads = access.venues.loads
        more.append(key_keeper(keys_of(store, vault, venue_addresses(settings)), access.ring))
        parts = msgspec.structs.replace(parts, venues=access.venues_over, read_connection=access.read)
    more.append(notifier(settings, store, vault))
    more += signal_publishers(settings, store.published)
    more += event_publisher(settings, store.events_out)
    more.append(alert_watch(live, store))
    more.append(retention_keeper(settings, store, sink))
    more.append(config_keeper(live, store))
    if options.enabled:
        more.append(flattener(store, parts))
    sandbox = sandbox_of(settings)
    shadows = Shadows(again=sandbox.shadow, share_pct=settings.sandbox_shadow_pct)
    parts = msgspec.structs.replace(parts, code=sandbox.ask, shadows=shadows)
    stand_ins = [address.rest for address in venue_addresses(settings).values()]
    return Service(
        parts=around(parts),
        clock=clock,
        notifier=PgNotifier(dsn),
        sink=sink,
        data_end=data_end,
        on_data_end=on_data_end,
        recorder=_recorder(settings, sink),
        more=more,
        stand_ins=StandIns(stand_ins) if store.platform().demo and vault is not None else None,
        read_bans=budgets.read_bans,
        venue_loads=venue_loads,
        traces=tick_traces(settings, store, sink),
        sandbox=sandbox,
        permits=permits,
    )


def sandbox_of(settings: Settings) -> Pool:
    return Pool(limits_of(settings), workers=settings.sandbox_workers or os.cpu_count() or 1)


def shared_budgets(store: PgStore) -> SharedVenueBudgets:
    return SharedVenueBudgets(store.venue_budgets, ThreadPoolExecutor(1, thread_name_prefix="budgets"))


def tick_traces(settings: Settings, store: PgStore, sink: Sink) -> TickTraces | None:
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None or not settings.enable_performance_monitoring:
        return None
    return TickTraces(endpoint, store.traces, service=settings.worker_id or "runner", sink=sink)


def live_access(
    settings: Settings, store: PgStore, vault: Vault, clock: Clock, budgets: SharedVenueBudgets
) -> LiveAccess:
    """The way to venues, its budgets shared with all processes on this database."""
    given = venue_addresses(settings)
    demo = store.platform().demo
    # A stand-in's windows are as short as the demo's time is fast; those in the database are of real time.
    shared = None if demo else budgets
    venues = Venues(clock=clock, given=given, shared=shared, only_given=demo)
    return LiveAccess(KeyRing(store.connections, vault), store.connections, venues)


def retention_keeper(settings: Settings, store: PgStore, sink: Sink) -> ChildSpec:
    retention = PgRetention(store.database)
    return ChildSpec(
        id="retention",
        factory=lambda ctx: RetentionKeeper(
            ctx,
            step=lambda: retention.step(settings.retention_days),
            told=lambda retired: sink("month_dropped", {"table": retired.month}),
        ),
        backoff=BACKOFF,
    )


def key_keeper(keys: Keys, ring: KeyRing) -> ChildSpec:
    return ChildSpec(id="keys", factory=lambda ctx: KeyKeeper(ctx, keys=keys, ring=ring), backoff=BACKOFF)


def notifier(settings: Settings, store: PgStore, vault: Vault | None) -> ChildSpec:
    """Raises SettingsError for an SMTP_URL that cannot be used."""
    mail = None if settings.smtp_url is None else Mail(server_of(settings.smtp_url), create_default_context())
    alert_url = settings.alert_webhook_url
    ways = Ways(
        operator=Operator(
            webhook_url=None if alert_url is None else alert_url.reveal(),
            email=None if mail is None else settings.alert_email,
        ),
        webhooks=Webhooks(private_too=settings.webhook_allow_private),
        operator_webhooks=Webhooks(private_too=True),
        mail=mail,
        open_secret=None if vault is None else lambda sealed: vault.open(sealed).secret,
    )
    # The world outside has real time, in a demo too.
    wall = MarketClock(msgspec.structs.replace(store.clock(), demo=False), process_s)
    return ChildSpec(
        id="notifier",
        factory=lambda ctx: Notifier(ctx, rows=store.notices, ways=ways, wall_now=wall.now),
        backoff=BACKOFF,
    )


def alert_watch(live: LiveSettings, store: PgStore) -> ChildSpec:
    def thresholds() -> Thresholds:
        now = live.now
        return Thresholds(
            error_rate_pct=now.alert_error_rate_pct,
            no_signal_min=now.alert_no_signal_min,
            lag_s=now.alert_slot_lag_sec,
        )

    return ChildSpec(
        id="alerts",
        factory=lambda ctx: AlertWatch(ctx, rows=store.alerts, thresholds=thresholds),
        backoff=BACKOFF,
    )


def config_keeper(live: LiveSettings, store: PgStore) -> ChildSpec:
    return ChildSpec(
        id="config", factory=lambda ctx: ConfigKeeper(ctx, rows=store.config, live=live), backoff=BACKOFF
    )


def flattener(store: PgStore, parts: Parts) -> ChildSpec:
    options = parts.options
    return ChildSpec(
        id="flattener",
        factory=lambda ctx: Flattener(
            ctx,
            rows=store.flattens,
            store=store,
            knowledge=parts.knowledge,
            worker=options.worker,
            lease_s=options.lease_s,
        ),
        backoff=BACKOFF,
    )


def venue_addresses(settings: Settings) -> dict[Venue, Address]:
    """Those the operator has set, each for all environments of its venue."""
    given = {
        Venue.BINANCE: given_address(settings.binance_base_url, settings.binance_ws_url),
        Venue.BYBIT: given_address(settings.bybit_base_url, settings.bybit_ws_url),
    }
    return {venue: address for venue, address in given.items() if address is not None}


def _recorder(settings: Settings, sink: Sink) -> Recorder | None:
    if settings.runner_record_dir is None:
        return None
    return Recorder(Path(settings.runner_record_dir), limits=settings.risk_limits(), sink=sink)
