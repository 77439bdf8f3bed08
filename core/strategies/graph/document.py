"""A node graph as its author wrote it: nodes and edges, read from JSON with every problem of form at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Final, TypeGuard

import msgspec

from core.strategies.graph.problems import GraphError, Problem

MAX_NODES: Final = 100
MAX_EDGES: Final = 400
MAX_PARAMS: Final = 40
MAX_TEXT: Final = 200
MAX_SOURCE_CHARS: Final = 100_000
_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")
_PORT_KEYS: Final = {
    "sourcePort": "source_port",
    "targetPort": "target_port",
    "source_port": "source_port",
    "target_port": "target_port",
}

RawValue = float | int | bool | str | Mapping[str, float]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    params: Mapping[str, RawValue] = {}


class Edge(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A port that is not named is the first that fits."""

    source: str
    source_port: str | None = None
    target: str
    target_port: str | None = None


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def read_graph(given: str | bytes | Mapping[str, object]) -> Graph:
    """The graph in JSON text or in what such text decodes to. Raises GraphError with all that is wrong in form."""
    document: object = given
    if isinstance(given, (str, bytes)):
        if len(given) > MAX_SOURCE_CHARS:
            raise GraphError([Problem(message=f"A graph has at most {MAX_SOURCE_CHARS} characters.")])
        try:
            document = msgspec.json.decode(given)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise GraphError([Problem(message=f"This is no JSON: {error}.")]) from error
    reading = _Reading()
    graph = reading.graph(document)
    if not reading.problems and len(graph_text(graph)) > MAX_SOURCE_CHARS:
        raise GraphError([Problem(message=f"A graph has at most {MAX_SOURCE_CHARS} characters.")])
    if reading.problems:
        raise GraphError(reading.problems)
    return graph


def graph_text(graph: Graph) -> str:
    """Equal for equal graphs, whatever order their parameters were written in; what is stored and exported."""
    return msgspec.json.encode(graph, order="sorted").decode()


class _Reading:
    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def graph(self, given: object) -> Graph:
        if not isinstance(given, Mapping):
            self._wrong("A graph is an object with nodes and edges.")
            return Graph(nodes=(), edges=())
        for name in given:
            if name not in ("nodes", "edges"):
                self._wrong(f"A graph has no {name!r:.60}; it has nodes and edges.")
        nodes = self._list(given, "nodes", MAX_NODES)
        edges = self._list(given, "edges", MAX_EDGES)
        read = [self._node(each, f"nodes[{number}]") for number, each in enumerate(nodes)]
        found = tuple(node for node in read if node is not None)
        if not nodes:
            self._wrong("A graph has at least one node.", field="nodes")
        self._check_ids(found)
        joined = [self._edge(each, f"edges[{number}]") for number, each in enumerate(edges)]
        return Graph(nodes=found, edges=tuple(edge for edge in joined if edge is not None))

    def _check_ids(self, nodes: tuple[Node, ...]) -> None:
        seen: set[str] = set()
        for node in nodes:
            if node.id in seen:
                self._wrong("Another node has this id.", node=node.id)
            seen.add(node.id)

    def _list(self, given: Mapping[str, object], name: str, most: int) -> list[object]:
        value = given.get(name, [])
        if not isinstance(value, (list, tuple)):
            self._wrong("must be a list", field=name)
            return []
        if len(value) > most:
            self._wrong(f"has {len(value)} entries; at most {most} are allowed", field=name)
            return []
        return list(value)

    def _node(self, given: object, place: str) -> Node | None:
        if not isinstance(given, Mapping):
            self._wrong("A node is an object with id, type and params.", field=place)
            return None
        for name in given:
            if name not in ("id", "type", "params"):
                self._wrong(f"A node has no {name!r:.60}; it has id, type and params.", field=place)
        id_, kind = given.get("id"), given.get("type")
        if not isinstance(id_, str) or _ID.fullmatch(id_) is None:
            self._wrong(
                "A node's id is a letter and up to 31 more letters, digits, - or _.", field=f"{place}.id"
            )
            return None
        if not isinstance(kind, str):
            self._wrong("A node names its type.", node=id_)
            return None
        return Node(id=id_, type=kind[:MAX_TEXT], params=self._params(id_, given.get("params")))

    def _params(self, node: str, given: object) -> Mapping[str, RawValue]:
        if given is None:
            return {}
        if not isinstance(given, Mapping) or len(given) > MAX_PARAMS:
            self._wrong(f"params must be an object of at most {MAX_PARAMS} entries", node=node)
            return {}
        params: dict[str, RawValue] = {}
        for name, value in given.items():
            if not isinstance(name, str) or len(name) > MAX_TEXT:
                self._wrong(
                    f"has a parameter whose name is no text of at most {MAX_TEXT} characters", node=node
                )
            elif _is_plain(value):
                params[name] = value
            elif isinstance(value, Mapping) and self._are_numbers(value):
                params[name] = {str(key): float(each) for key, each in value.items()}
            else:
                self._wrong(
                    f"must be a finite number, a text of at most {MAX_TEXT} characters or an object of numbers",
                    node=node,
                    field=name[:60],
                )
        return params

    def _are_numbers(self, value: Mapping[object, object]) -> bool:
        return len(value) <= MAX_PARAMS and all(
            isinstance(key, str) and len(key) <= MAX_TEXT and _is_number(each) for key, each in value.items()
        )

    def _edge(self, given: object, place: str) -> Edge | None:
        if not isinstance(given, Mapping):
            self._wrong("An edge is an object with source and target.", field=place)
            return None
        ends: dict[str, str | None] = {}
        for name, value in given.items():
            key = name if name in ("source", "target") else _PORT_KEYS.get(str(name))
            if key is None:
                self._wrong(
                    f"An edge has no {name!r:.60}; it has source, sourcePort, target and targetPort.",
                    field=place,
                )
            elif value is not None and (not isinstance(value, str) or _ID.fullmatch(value) is None):
                self._wrong(f"{name} must be the name of a node or a port", field=place)
                return None
            else:
                ends[key] = value
        source, target = ends.get("source"), ends.get("target")
        if source is None or target is None:
            self._wrong("An edge names its source and its target.", field=place)
            return None
        return Edge(
            source=source,
            source_port=ends.get("source_port"),
            target=target,
            target_port=ends.get("target_port"),
        )

    def _wrong(self, message: str, *, node: str | None = None, field: str | None = None) -> None:
        self.problems.append(Problem(message=message, node=node, field=field))


def _is_plain(value: object) -> TypeGuard[float | bool | str]:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return isinstance(value, bool) or _is_number(value)


def _is_number(value: object) -> TypeGuard[float]:
    """Finite, and small enough for a float: JSON's whole numbers have no bound."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return isfinite(float(value))
    except OverflowError:
        return False
