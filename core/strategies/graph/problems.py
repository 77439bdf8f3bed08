"""What is wrong with a graph, each problem with its place: node, port or parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from core.errors import RunnerError

MAX_PROBLEMS: Final = 100


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`field`: a parameter or a part of the document; without a node the problem is the whole graph's."""

    message: str
    node: str | None = None
    port: str | None = None
    field: str | None = None

    @property
    def place(self) -> str:
        """Names the place as a path: `rsi.real`, `rsi.params.timeperiod`, `edges[3]`; empty for the graph."""
        last = self.port or (self.field if self.node is None or not self.field else f"params.{self.field}")
        return ".".join(part for part in (self.node, last) if part)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class GraphError(RunnerError):
    """A graph that cannot be a strategy; `problems` holds what is wrong, the first hundred of it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems[:MAX_PROBLEMS])
        super().__init__(" ".join(str(problem) for problem in self.problems))


class NodeProblem(Exception):
    """One node's problem, raised where it is found; the node's id is added by whoever knows it."""

    def __init__(self, message: str, *, port: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.port = port
        self.field = field

    def at(self, node: str) -> Problem:
        return Problem(message=self.message, node=node, port=self.port, field=self.field)
