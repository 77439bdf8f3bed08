"""Strategies to begin with."""

from __future__ import annotations

from enum import StrEnum

from facade.schemas.form import Answer, Shown


class ExampleType(StrEnum):
    PYTHON = "python"
    TYPESCRIPT = "typescript"
    GRAPH = "graph"
    TEMPLATE = "template"


class ExampleShown(Shown, frozen=True, kw_only=True):
    """`text`: code, for `code`; a node graph, for `nodeGraph`; of a template a body of POST /api/strategies/deploy."""

    name: str
    type: ExampleType
    text: str


class ExamplesAnswer(Answer, frozen=True, kw_only=True):
    examples: tuple[ExampleShown, ...]
