"""The forms every request and answer has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Sentence = Annotated[str, Meta(max_length=500)]
NodeGraph = Mapping[str, Any]
"""`{nodes: [{id, type, params}], edges: [{source, sourcePort?, target, targetPort?}]}`, see docs/strategies.md."""
Parameters = Annotated[Mapping[Annotated[str, Meta(max_length=64)], int | float | str], Meta(max_length=64)]


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What every answer to a request has; `request_id` is filled in on the way out."""

    ok: bool = True
    request_id: str = ""


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request's body."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request's query parameters; their text is converted to the fields' types."""


class AsOf(Asked, frozen=True, kw_only=True):
    """`asOf`: the answer is what was known then; without it, what is known now."""

    as_of: Annotated[datetime, Meta(tz=True)] | None = None


class Page(Asked, frozen=True, kw_only=True):
    """Which part of a list: `cursor` is the `nextCursor` of the page before."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=200)] | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of an answer."""


class Nothing(Body, frozen=True, kw_only=True):
    """A body without fields."""


class SetKillSwitch(Body, frozen=True, kw_only=True):
    on: bool
    reason: Sentence = ""


class LagShown(Shown, frozen=True, kw_only=True):
    """Finish of a tick after its slot, milliseconds."""

    p50: float | None
    p99: float | None
