"""From graph to program: everything about a graph that can be wrong is found here, all of it at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final

import msgspec

from core.strategies.graph.document import Edge, Graph, Node
from core.strategies.graph.nodes import DATA_SOURCE, MIXING, NODE_TYPES, ORCHESTRATOR, POSITION
from core.strategies.graph.nodes.base import NodeType
from core.strategies.graph.nodes.data_source import OWN, Source
from core.strategies.graph.nodes.orchestrator import ENTRIES, EXITS
from core.strategies.graph.params import LABEL, Params, read_params, text
from core.strategies.graph.ports import SERIES, Input, Unit, Warmup
from core.strategies.graph.problems import GraphError, NodeProblem, Problem
from core.strategies.graph.program import Binding, Program, Step

MAX_DEPTH: Final = 40
MAX_SOURCES: Final = 8
"""Further windows one graph looks at."""


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    """A node that is right so far."""

    node: Node
    type: NodeType
    params: Params
    inputs: tuple[Input, ...]


class _Bound(msgspec.Struct, frozen=True, kw_only=True):
    edge: Edge
    source_port: str
    target_port: str
    unit: Unit


class _Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A node with what comes in, and what goes out of it."""

    made: _Made
    bound: tuple[_Bound, ...]
    outputs: Mapping[str, Unit]
    axis: Source
    warmup: Warmup
    depth: int


def build(graph: Graph) -> Program:
    """Raises GraphError with every problem there is."""
    builder = _Builder(graph)
    program = builder.program()
    if program is None:
        raise GraphError(builder.problems)
    return program


class _Builder:
    def __init__(self, graph: Graph) -> None:
        self.problems: list[Problem] = []
        self._graph = graph
        self._nodes = {node.id: node for node in graph.nodes}
        self._made: dict[str, _Made] = {}
        self._placed: dict[str, _Placed] = {}

    def program(self) -> Program | None:
        """None where there are problems."""
        for node in self._graph.nodes:
            made = self._make(node)
            if made is not None:
                self._made[node.id] = made
        edges = [edge for number, edge in enumerate(self._graph.edges) if self._joins(edge, number)]
        into: dict[str, list[Edge]] = {}
        for edge in edges:
            into.setdefault(edge.target, []).append(edge)
        deciders = [node.id for node in self._graph.nodes if node.type == ORCHESTRATOR.name]
        if len(deciders) != 1:
            self._wrong(f"A graph has one orchestrator; this one has {len(deciders)}.")
        for id_ in self._order(into):
            if id_ in self._made:
                self._place(self._made[id_], into.get(id_, []))
        if self.problems:
            return None
        return self._assemble(deciders[0])

    def _make(self, node: Node) -> _Made | None:
        kind = NODE_TYPES.get(node.type)
        if kind is None:
            self._wrong(
                f"There is no node type {node.type!r:.60}; there are {', '.join(NODE_TYPES)}.",
                node=node.id,
                field="type",
            )
            return None
        try:
            params, problems = read_params(kind.declared(node.params), node.params)
            if not problems:
                return _Made(node=node, type=kind, params=params, inputs=tuple(kind.inputs(params)))
        except NodeProblem as problem:
            problems = [problem]
        self.problems += [problem.at(node.id) for problem in problems]
        return None

    def _joins(self, edge: Edge, number: int) -> bool:
        ends = {"source": edge.source, "target": edge.target}
        missing = [end for end, id_ in ends.items() if id_ not in self._nodes]
        for end in missing:
            self._wrong(f"There is no node {ends[end]!r}.", field=f"edges[{number}].{end}")
        return not missing

    def _order(self, into: Mapping[str, Sequence[Edge]]) -> Iterator[str]:
        """Node ids, each after those that lead to it; what is left over goes round in circles."""
        waiting = {id_: {edge.source for edge in into.get(id_, ())} for id_ in self._nodes}
        while ready := [id_ for id_, before in waiting.items() if not before]:
            for id_ in ready:
                del waiting[id_]
                yield id_
            for before in waiting.values():
                before.difference_update(ready)
        leading = set(waiting)
        while ends := {id_ for id_ in leading if not any(id_ in waiting[other] for other in leading)}:
            leading -= ends  # behind a circle, not part of one
        for id_ in leading:
            self._wrong("is part of a circle", node=id_)

    def _place(self, made: _Made, edges: Sequence[Edge]) -> None:
        known = [edge for edge in edges if edge.source in self._placed]
        bound = self._bind(made, known)
        if bound is None or len(known) < len(edges):
            return  # what leads here is wrong itself: nothing can be said about this node yet
        id_, units = made.node.id, _units(bound)
        self._check_bound(made, bound)
        if any(problem.node == id_ for problem in self.problems):
            return
        axis = self._axis(made, bound)
        depth = 1 + max((self._placed[each.edge.source].depth for each in bound), default=0)
        if depth > MAX_DEPTH:
            self._wrong(f"lies {depth} nodes deep; {MAX_DEPTH} is the most there is", node=id_)
        try:
            outputs, warmup = made.type.outputs(made.params, units), made.type.warmup(made.params)
        except NodeProblem as problem:
            self.problems.append(problem.at(id_))
            return
        if axis is not None:
            self._placed[id_] = _Placed(
                made=made, bound=tuple(bound), outputs=outputs, axis=axis, warmup=warmup, depth=depth
            )

    def _bind(self, made: _Made, edges: Sequence[Edge]) -> list[_Bound] | None:
        """The ports of each edge: those that are named, and for the others the first that fit."""
        taken: set[str | None] = {edge.target_port for edge in edges}
        bound: list[_Bound] = []
        fine = True
        for edge in edges:
            found = self._bind_one(made, edge, taken)
            if found is None:
                fine = False
            else:
                taken.add(found.target_port)
                bound.append(found)
        return bound if fine else None

    def _bind_one(self, made: _Made, edge: Edge, taken: set[str | None]) -> _Bound | None:
        source = self._placed[edge.source]
        outputs, inputs = source.outputs, {each.name: each for each in made.inputs}
        if edge.source_port is not None and edge.source_port not in outputs:
            known = ", ".join(outputs) or "none"
            self._wrong(
                f"has no output {edge.source_port!r}; there are: {known}",
                node=edge.source,
                port=edge.source_port,
            )
            return None
        id_ = made.node.id
        if edge.target_port is not None and edge.target_port not in inputs:
            known = ", ".join(inputs) or "none"
            self._wrong(f"has no such input; there are: {known}", node=id_, port=edge.target_port)
            return None
        targets = [inputs[edge.target_port]] if edge.target_port else _free(made, edge.source, taken)
        ports = [edge.source_port] if edge.source_port else list(outputs)
        for target, port in product(targets, ports):
            if outputs[port] in target.accepts:
                return _Bound(edge=edge, source_port=port, target_port=target.name, unit=outputs[port])
        self._misfit(made, edge, targets, [outputs[port] for port in ports])
        return None

    def _misfit(self, made: _Made, edge: Edge, targets: Sequence[Input], units: Sequence[Unit]) -> None:
        if not units:
            self._wrong("has no output: nothing leads on from it", node=edge.source)
            return
        if not targets:
            known = ", ".join(each.name for each in made.inputs) or "none"
            said = f"What comes from {edge.source} finds no free input; there are: {known}. Name one as targetPort."
            self._wrong(said, node=made.node.id)
            return
        wanted, given = _named(targets[0].accepts), " or ".join(dict.fromkeys(map(str, units)))
        self._wrong(
            f"takes {wanted}, and {edge.source} gives {given}", node=made.node.id, port=targets[0].name
        )

    def _check_bound(self, made: _Made, bound: Sequence[_Bound]) -> None:
        id_, units = made.node.id, _units(bound)
        for each in made.inputs:
            count, constant = len(units.get(each.name, ())), each.constant and each.name in made.params
            if count > 1 and not each.many:
                self._wrong(f"takes one edge, and {count} lead here", node=id_, port=each.name)
            elif count and constant:
                self._wrong("has an edge and a number as well", node=id_, port=each.name)
            elif not count and not constant and not each.optional:
                said = " and no number stands for it" if each.constant else ""
                self._wrong(f"Nothing leads to this input{said}.", node=id_, port=each.name)

    def _axis(self, made: _Made, bound: Sequence[_Bound]) -> Source | None:
        """Whose candles the node works on."""
        id_ = made.node.id
        if made.type is DATA_SOURCE:
            try:
                return DATA_SOURCE.source(made.params)
            except NodeProblem as problem:
                self.problems.append(problem.at(id_))
                return None
        axes = {self._placed[each.edge.source].axis for each in bound}
        if len(axes) > 1 and made.type.name not in MIXING:
            mixing = ", ".join(sorted(MIXING))
            self._wrong(f"Its inputs are of different candles; those meet in {mixing} only.", node=id_)
            return None
        if made.type is ORCHESTRATOR or len(axes) != 1:
            return OWN
        return axes.pop()

    def _assemble(self, decider: str) -> Program | None:
        wanted = self._leading_to(decider)
        order = [id_ for id_ in self._placed if id_ in wanted]
        number = {id_: index for index, id_ in enumerate(order)}
        looked_at = {
            (each.edge.source, each.source_port) for id_ in order for each in self._placed[id_].bound
        }
        steps = [self._step(self._placed[id_], number, looked_at) for id_ in order]
        program = Program(
            steps=tuple(steps),
            words=self._words(self._placed[decider]),
            uses_position=any(step.type is POSITION for step in steps)
            or all(any(each.target_port == side for each in steps[-1].bindings) for side in EXITS),
        )
        if len(program.sources) > MAX_SOURCES:
            self._wrong(
                f"It looks at {len(program.sources)} further windows; {MAX_SOURCES} is the most there is."
            )
            return None
        return program

    def _leading_to(self, decider: str) -> set[str]:
        wanted, waiting = {decider}, [decider]
        while waiting:
            before = {each.edge.source for each in self._placed[waiting.pop()].bound} - wanted
            wanted |= before
            waiting += before
        return wanted

    def _step(self, placed: _Placed, number: Mapping[str, int], looked_at: set[tuple[str, str]]) -> Step:
        id_ = placed.made.node.id
        return Step(
            node=id_,
            type=placed.made.type,
            params=placed.made.params,
            axis=placed.axis,
            warmup=placed.warmup,
            counted=tuple(
                port for port, unit in placed.outputs.items() if unit in SERIES and (id_, port) in looked_at
            ),
            bindings=tuple(
                Binding(
                    source=number[each.edge.source],
                    source_port=each.source_port,
                    target_port=each.target_port,
                )
                for each in placed.bound
            ),
        )

    def _words(self, decider: _Placed) -> Mapping[str, str]:
        words = {}
        for each in decider.bound:
            if each.target_port in (*ENTRIES, *EXITS):
                params = self._placed[each.edge.source].made.params
                said = text(params, LABEL) if LABEL in params else None
                words[each.target_port] = said or f"{each.target_port} by {each.edge.source}"
        return words

    def _wrong(
        self, message: str, *, node: str | None = None, port: str | None = None, field: str | None = None
    ) -> None:
        self.problems.append(Problem(message=message, node=node, port=port, field=field))


def _units(bound: Sequence[_Bound]) -> Mapping[str, list[Unit]]:
    units: dict[str, list[Unit]] = {}
    for each in bound:
        units.setdefault(each.target_port, []).append(each.unit)
    return units


def _free(made: _Made, source: str, taken: set[str | None]) -> list[Input]:
    """Inputs an edge without a port may go to: the one named like its source, else those nothing else leads to."""
    free = [
        each
        for each in made.inputs
        if not each.named_only
        and (each.many or each.name not in taken)
        and not (each.constant and each.name in made.params)
    ]
    return [each for each in free if each.name == source] or free


def _named(units: frozenset[Unit]) -> str:
    return (
        "a number"
        if len(units) > 2
        else " or ".join(sorted(str(unit) for unit in units if unit is not Unit.ANY))
    )
