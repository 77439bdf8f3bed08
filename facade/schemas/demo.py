"""The demo's clock."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from facade.bridge import DemoTime
from facade.schemas.form import Answer, Body


class SetDemoClock(Body, frozen=True, kw_only=True):
    speed: Annotated[float, Meta(ge=0.1, le=100_000)] | None = None
    paused: bool | None = None


class DemoTimeAnswer(Answer, frozen=True, kw_only=True):
    clock: DemoTime
