"""A small complete runner over a real store, and clients that talk to it."""

from __future__ import annotations

import atexit
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
from starlette.testclient import TestClient

from actors.sandbox.host import Limits, Zygote
from actors.sandbox.validation import Validated, validate_code
from actors.tally import Tally
from core.config import Settings, parse
from core.definition import StrategyKind
from core.ids import NodeId, RunId, UserId
from core.redact import Secret
from core.run import RunStatus
from core.timeframe import Timeframe
from exchanges.venue_host import HostLoad
from facade.app import build_app
from facade.bridge import ActorNode, DemoTime, PassingEvent, Vitals
from schema.ops import LedgerOp, LedgerResult
from schema.pg import PgStore
from schema.pg_alert_keys import PgAlertKeys
from schema.pg_alerts import PgAlerts
from schema.pg_candles import PgCandles
from schema.pg_config import PgConfig
from schema.pg_external import PgExternal
from schema.pg_flattens import PgFlattens
from schema.pg_idempotency import PgIdempotency
from schema.pg_jobs import PgJobs
from schema.pg_limits import PgLimits
from schema.pg_notices import PgNotices
from schema.pg_observations import PgObservations
from schema.pg_portfolios import PgPortfolios
from schema.pg_published import PgPublished
from schema.pg_reads import PgReads
from schema.pg_signals import PgSignals
from schema.records import Ask, LostAsk, Node, SlotReport, TickRow, TickSource, TickStatus
from schema.store import StoreUnavailable

SECRET = "a-secret-of-the-tests-with-enough-bytes"
START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
BASE_URL = "http://127.0.0.1:8080"
WORKER = "node-1"

TREE = (
    ActorNode(
        name="supervisor",
        state="running",
        mailbox_length=0,
        restarts=0,
        children=(
            ActorNode(name="scheduler", state="running", mailbox_length=2, restarts=0),
            ActorNode(
                name="journal", state="restarting", mailbox_length=1, restarts=3, last_error="ValueError"
            ),
        ),
    ),
)


HOSTS = (HostLoad(host="fapi.binance.com", weight=120, limit=2_400, waiting=3, paused_s=1.5),)


@cache
def shared_zygote() -> Zygote:
    """One for all tests of a process, started by the first that needs it."""
    zygote = Zygote(Limits())
    atexit.register(zygote.close)
    return zygote


class SmallDemoClock:
    def __init__(self) -> None:
        self._time = DemoTime(now=START, speed=60.0, paused=False)

    def time(self) -> DemoTime:
        return self._time

    def set(self, *, speed: float | None, paused: bool | None) -> DemoTime:
        old = self._time
        self._time = DemoTime(
            now=old.now,
            speed=old.speed if speed is None else speed,
            paused=old.paused if paused is None else paused,
        )
        return self._time


class SmallRunner:
    """Ticks in the caller's thread, every run a hold, unless `deaf`: then nobody does what is asked."""

    def __init__(self, store: PgStore | None, *, demo: bool = False) -> None:
        self._store = store
        self._demo = SmallDemoClock() if demo else None
        self.now = START
        self.deaf = False
        self.hints = 0
        self.signals_sent = 0
        self.tally = Tally()
        self.news: list[PassingEvent] = []
        self.up = True

    @property
    def store(self) -> PgStore:
        if self._store is None:
            raise StoreUnavailable("The database cannot be reached.")
        return self._store

    @property
    def reads(self) -> PgReads:
        return self.store.reads

    @property
    def idempotency(self) -> PgIdempotency:
        return self.store.idempotency

    @property
    def portfolios(self) -> PgPortfolios:
        return self.store.portfolios

    @property
    def flattens(self) -> PgFlattens:
        return self.store.flattens

    @property
    def notices(self) -> PgNotices:
        return self.store.notices

    @property
    def alerts(self) -> PgAlerts:
        return self.store.alerts

    @property
    def config(self) -> PgConfig:
        return self.store.config

    @property
    def observations(self) -> PgObservations:
        return self.store.observations

    def vitals(self) -> Vitals:
        return Vitals(node=NodeId(WORKER), enabled=True, tallied=self.tally.read(), hosts=HOSTS)

    @property
    def signals(self) -> PgSignals:
        return self.store.signals

    @property
    def published(self) -> PgPublished:
        return self.store.published

    @property
    def alert_keys(self) -> PgAlertKeys:
        return self.store.alert_keys

    @property
    def external(self) -> PgExternal:
        return self.store.external

    @property
    def jobs(self) -> PgJobs:
        return self.store.jobs

    @property
    def market(self) -> PgCandles:
        return self.store.market

    @property
    def limits(self) -> PgLimits:
        return self.store.limits

    def validate(
        self,
        *,
        kind: StrategyKind,
        text: str,
        symbol: str,
        timeframe: Timeframe,
        parameters: Mapping[str, object],
    ) -> Validated:
        return validate_code(
            shared_zygote(), kind=kind, text=text, symbol=symbol, timeframe=timeframe, parameters=parameters
        )

    def tick_due(self, *, source: TickSource) -> None:
        if self.deaf:
            return
        for timeframe in Timeframe:
            slot = timeframe.slot(self.now)
            if timeframe.is_due(self.now, None):
                runs = self.store.runs(statuses=[RunStatus.ACTIVE])
                self._tick([run.id for run in runs if run.strategy.timeframe is timeframe], slot, source)

    def execute_tick(self, run_id: RunId, slot: datetime, request_id: str | None = None) -> None:
        if not self.deaf:
            self._tick([run_id], slot, TickSource.OPERATOR, request_id)

    def signal_sent(self) -> None:
        self.signals_sent += 1

    def rows_changed(self) -> None:
        self.hints += 1

    def passed(self) -> Sequence[PassingEvent]:
        taken, self.news = self.news, []
        return taken

    def actors(self) -> Sequence[ActorNode]:
        return TREE

    def nodes(self) -> Sequence[Node]:
        return [Node(id=NodeId(WORKER), version="0.1.0", beat_at=START)]

    def settle(self, op: LedgerOp, timeout_s: float) -> LedgerResult:
        if self.deaf:
            raise TimeoutError
        return self.store.settle([op])[0]

    venues = ("binance", "bybit")

    def market_now(self) -> datetime:
        return self.now

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now).total_seconds())

    def ready(self) -> dict[str, bool]:
        return {"database": self._store is not None, "ledger": self.up, "slots": True}

    def demo_clock(self) -> SmallDemoClock | None:
        return self._demo

    def _tick(
        self, run_ids: list[RunId], slot: datetime, source: TickSource, request_id: str | None = None
    ) -> None:
        ask = Ask(slot=slot, source=source, at=slot + timedelta(milliseconds=500), request_id=request_id)
        claims = self.store.claim(run_ids, slot=slot, owner=WORKER, ttl_s=120, ask=ask)
        ticks = [
            TickRow(
                run_id=claim.run_id,
                user_id=claim.user_id,
                slot=slot,
                status=TickStatus.OK,
                signal="hold",
                source=source,
                scheduled_at=slot,
                finished_at=slot + timedelta(milliseconds=40),
                latency_ms=1.25,
                worker=WORKER,
                fence=claim.fence,
                asked_at=ask.at,
                request_id=ask.request_id,
            )
            for claim in claims
        ]
        won = {claim.run_id for claim in claims}
        lost = LostAsk(ask=ask, node=WORKER, run_ids=[run_id for run_id in run_ids if run_id not in won])
        report = SlotReport(ticks=tuple(ticks), lost=(lost,))
        self.store.report(report)
        self.tally.written(report)


def make_settings(**values: str) -> Settings:
    given = {"JWT_SECRET": SECRET, "ENABLE_STRATEGY_RUNNER": "true", **values}
    return parse([("environment", given)])


def token_of(user: str, *, admin: bool = False, secret: str = SECRET, **claims: Any) -> str:
    role = "admin" if admin else "authenticated"
    return jwt.encode(
        {"sub": user, "role": role, "exp": time.time() + 3_600, **claims}, secret, algorithm="HS256"
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def as_user(user: str) -> dict[str, str]:
    return bearer(token_of(user))


ADMIN = bearer(token_of("root", admin=True))


def client_of(
    runner: SmallRunner,
    settings: Settings | None = None,
    *,
    address: str = "127.0.0.1",
    base_url: str = BASE_URL,
    **more: Any,
) -> TestClient:
    """A client of an application of its own; errors come back as answers."""
    app = build_app(runner, settings or make_settings(), demo_secret=Secret(SECRET), **more)
    return TestClient(app, base_url=base_url, client=(address, 50_000), raise_server_exceptions=False)


def go_live(client: TestClient, user: str, **body: Any) -> Any:
    """A draft run of `user`, created through the interface."""
    given = {"symbol": "BTCUSDT", "timeframe": "5m", "initial_capital_usdt": 1000, **body}
    answer = client.post("/api/strategies", json=given, headers=as_user(user))
    assert answer.status_code == 201, answer.text
    return answer.json()


USER = UserId("alice")
