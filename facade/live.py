"""The running process as the facade sees it: a `Service` behind the facade's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from actors.runtime.system import ActorInfo
from actors.sandbox.host import SandboxAway
from actors.sandbox.validation import Validated
from actors.service import Service
from core.candles import CandleColumns
from core.definition import StrategyKind
from core.ids import RunId, UserId
from core.mark import Mark
from core.market import Series
from core.timeframe import Timeframe
from facade.bridge import ActorNode, DemoTime, PassingEvent, Vitals
from schema.ops import ExpirePause, LedgerOp, LedgerResult, ResumeUser, SimulateTrade
from schema.pg import PgStore
from schema.records import Node, TickSource


class LiveRunner:
    """`Runner` of `facade.bridge`, over a live service."""

    def __init__(self, service: Service, store: PgStore, *, speed: float | None) -> None:
        """`speed`: of a demo, what resuming goes back to; None in production."""
        self._service = service
        self._clock = None if speed is None else LiveDemoClock(service, speed)
        self.store = service.store
        self.reads = store.reads
        self.idempotency = store.idempotency
        self.portfolios = store.portfolios
        self.limits = store.limits
        self.flattens = store.flattens
        self.signals = store.signals
        self.external = store.external
        self.alert_keys = store.alert_keys
        self.published = store.published
        self.observations = store.observations
        self.jobs = store.jobs
        self.market = store.market
        self.notices = store.notices
        self.alerts = store.alerts
        self.config = store.config

    def replace(self, service: Service) -> None:
        """Go on with another service over the same database: a demo whose candles start over."""
        self._service = service
        self.store = service.store
        if self._clock is not None:
            self._clock = LiveDemoClock(service, self._clock.time().speed)

    @property
    def origin(self) -> str:
        """Where the candles come from."""
        return self._service.origin

    def candles(self, series: Series, limit: int) -> CandleColumns:
        """The newest `limit` candles held, oldest first; none for a series nobody trades on here."""
        return self._service.candles(series, limit)

    def mark(self, venue: str, symbol: str) -> Mark | None:
        """What the venue values a position at; None where no account here holds one, or it is not heard."""
        return self._service.mark(venue, symbol)

    def validate(
        self,
        *,
        kind: StrategyKind,
        text: str,
        symbol: str,
        timeframe: Timeframe,
        parameters: Mapping[str, object],
    ) -> Validated:
        if self._service.sandbox is None:
            raise SandboxAway("There is no sandbox here that runs code.")
        return self._service.sandbox.validate(
            kind=kind, text=text, symbol=symbol, timeframe=timeframe, parameters=parameters
        )

    def tick_due(self, *, source: TickSource) -> None:
        self._service.tick_due(source=source)

    def execute_tick(self, run_id: RunId, slot: datetime, request_id: str | None = None) -> None:
        self._service.execute_tick(run_id, slot, request_id)

    def signal_sent(self) -> None:
        self._service.signal_sent()

    def rows_changed(self) -> None:
        self._service.rows_changed()

    def passed(self) -> Sequence[PassingEvent]:
        return self._service.passed()

    def vitals(self) -> Vitals:
        return self._service.vitals()

    def nodes(self) -> Sequence[Node]:
        return self._service.nodes()

    def actors(self) -> Sequence[ActorNode]:
        return tuple(_node(root) for root in self._service.actors())

    def settle(self, op: LedgerOp, timeout_s: float) -> LedgerResult:
        return self._service.settle(_user_of(op), op, timeout_s)

    @property
    def venues(self) -> tuple[str, ...]:
        return self._service.venues

    def market_now(self) -> datetime:
        return self._service.market_now()

    def seconds_until(self, when: datetime) -> float:
        return self._service.seconds_until(when)

    def ready(self) -> dict[str, bool]:
        return self._service.ready()

    def stand_down(self) -> None:
        """Ready no more; other processes have the runs when this returns. Blocks."""
        self._service.stand_down()

    def demo_clock(self) -> LiveDemoClock | None:
        return self._clock


class LiveDemoClock:
    """Pause and speed of a demo; a pause remembers the speed to come back to."""

    def __init__(self, service: Service, speed: float) -> None:
        self._service = service
        self._speed = speed

    def time(self) -> DemoTime:
        settings = self._service.clock_settings()
        paused = settings.rate == 0
        return DemoTime(
            now=self._service.market_now(), speed=self._speed if paused else settings.rate, paused=paused
        )

    def set(self, *, speed: float | None, paused: bool | None) -> DemoTime:
        was_paused = self._service.clock_settings().rate == 0
        self._speed = self._speed if speed is None else speed
        pause = was_paused if paused is None else paused
        self._service.set_rate(0.0 if pause else self._speed)
        return self.time()


def _user_of(op: LedgerOp) -> UserId:
    if isinstance(op, SimulateTrade | ExpirePause | ResumeUser):
        return op.user_id
    raise TypeError(f"{type(op).__name__} is not for the facade to ask")


def _node(info: ActorInfo) -> ActorNode:
    return ActorNode(
        name=info.name,
        state=info.state,
        mailbox_length=info.mailbox,
        restarts=info.restarts,
        last_error=info.last_error,
        children=tuple(_node(child) for child in info.children),
    )
