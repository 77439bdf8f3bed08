"""What an operator asks first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from facade.schemas.form import Answer, LagShown, Shown
from facade.schemas.runner import ActorCounts, NodeShown

State = Literal["ok", "degraded", "down"]
Outside = Literal["ok", "off", "waiting", "down"]


class VenueHealth(Shown, frozen=True, kw_only=True):
    """`waiting`: nothing may be sent for `backOffSeconds`, a pause or a ban."""

    state: Outside
    weight: int
    weight_limit: int
    waiting_requests: int
    back_off_seconds: float


class HealthCounts(Shown, frozen=True, kw_only=True):
    """Of the whole installation."""

    runs: Mapping[str, int] = {}
    open_orders: Mapping[str, int] = {}
    open_positions: int = 0
    unknown_orders: int = 0
    unprotected_positions: int = 0
    open_alerts: int = 0


class HealthAnswer(Answer, frozen=True, kw_only=True):
    """Cycles, signals and errors are this process's since it started, durations seconds.

    `problems`: why it is not `ok`.
    """

    status: State
    problems: tuple[str, ...]
    version: str
    too_old: bool
    node: str
    market_time: datetime
    # A cycle is a slot; the names are those of the programs this one follows.
    cycles_completed: int = msgspec.field(name="cycles_completed")
    signals_generated: int = msgspec.field(name="signals_generated")
    errors_encountered: int = msgspec.field(name="errors_encountered")
    last_cycle_duration: float | None = msgspec.field(name="last_cycle_duration")
    avg_cycle_duration: float | None = msgspec.field(name="avg_cycle_duration")
    last_slot_at: datetime | None
    ticks: Mapping[str, int]
    evaluations: Mapping[str, int]
    counts: HealthCounts
    unprotected_seconds: float
    slot_lag_ms: LagShown
    kill_switch: bool | None
    database: Outside
    venues: Mapping[str, VenueHealth]
    redis: Outside
    influxdb: Outside
    actors: ActorCounts
    nodes: tuple[NodeShown, ...]
    streams: int
