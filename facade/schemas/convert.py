"""Strategies from source in another language, or from plain words."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from facade.schemas.code import ValidatedAnswer
from facade.schemas.form import Answer, Body, Shown

Source = Annotated[str, Meta(min_length=1, max_length=60_000)]


class ConvertSource(Body, frozen=True, kw_only=True):
    """`language`: what it is written in, in any words; it is tried on candles of `symbol` and `timeframe`."""

    source: Source
    language: Annotated[str, Meta(max_length=32)] | None = None
    symbol: Annotated[str, Meta(max_length=32)] = "BTCUSDT"
    timeframe: Annotated[str, Meta(max_length=8)] = "5m"


class ConvertedFrom(Body, frozen=True, kw_only=True):
    """What a strategy was before it was Python; kept beside the version that came of it."""

    source: Source
    language: Annotated[str, Meta(max_length=32)] = ""
    explanation: Annotated[str, Meta(max_length=8_000)] = ""


class ConvertedShown(Shown, frozen=True, kw_only=True):
    source: str
    language: str
    explanation: str


class ConvertAnswer(Answer, frozen=True, kw_only=True):
    """`ok` when the code runs; nothing is kept. POST it as `code`, with `convertedFrom`, to /api/strategies."""

    code: str
    explanation: str
    """In plain words: what it does, and what could not be carried over."""
    validation: ValidatedAnswer | None
    """Null where the model answered no code."""
    rounds: int
    """Answers of the model it took, 2 at most."""
