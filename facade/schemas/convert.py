"""Strategies from source in another language, or from plain words."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from facade.schemas.form import Body


class ConvertSource(Body, frozen=True, kw_only=True):
    source: Annotated[str, Meta(min_length=1, max_length=200_000)]
    language: Annotated[str, Meta(max_length=32)] | None = None
