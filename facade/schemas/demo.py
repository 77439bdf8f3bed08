"""The demo's clock."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from facade.bridge import DemoTime
from facade.schemas.form import Answer, Body


class SetDemoClock(Body, frozen=True, kw_only=True):
    speed: Annotated[float, Meta(ge=0.1, le=100_000)] | None = None
    paused: bool | None = None


class ActAs(Body, frozen=True, kw_only=True):
    user: Literal["demo-user-1", "demo-user-2"]


class ActingAnswer(Answer, frozen=True, kw_only=True):
    """`token`: for the header Authorization, good for half a day."""

    user: str
    token: str


class DemoTimeAnswer(Answer, frozen=True, kw_only=True):
    clock: DemoTime
