"""A strategy in a file: Python as it is, a template's settings or a node graph as JSON.

example.py     a Python strategy
example.json   {"kind": "template", "template": …, "parameters": {…}, "symbol": …, "timeframe": …, "settings": {…}}
               {"kind": "graph", "nodeGraph": {"nodes": […], "edges": […]}, …}, or the graph alone
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from core.definition import StrategyKind
from core.errors import RunnerError
from core.run import Direction
from core.strategies import TEMPLATES, template

MAX_BYTES: Final = 200_000
PYTHON: Final = ".py"


class BadFile(RunnerError):
    """The file holds no strategy; says what is wrong with it."""


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a run of it should trade with, where the command line does not say."""

    direction: Direction = Direction.BOTH
    leverage: int = 1
    order_size_pct: Decimal = Decimal(100)
    take_profit_pct: Decimal | None = None
    stop_loss_pct: Decimal | None = None


class StrategyFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One strategy. `text` is what the file says, for kinds that are made of text; never in the file itself."""

    kind: StrategyKind
    name: str = ""
    description: str = ""
    template: str = ""
    parameters: Mapping[str, int | float] = {}
    node_graph: Mapping[str, Any] | None = None
    symbol: str = "BTCUSDT"
    timeframe: str = "1h"
    settings: FileSettings = FileSettings()
    text: str = ""


def strategy_named(name: str) -> StrategyFile:
    """The strategy in the file of that name, or the built-in one so called. Raises BadFile."""
    return built_in(name) if name in TEMPLATES else read_strategy(Path(name))


def built_in(name: str) -> StrategyFile:
    """Raises UnknownTemplate."""
    return StrategyFile(kind=StrategyKind.TEMPLATE, name=name, template=template(name).name)


def read_strategy(path: Path) -> StrategyFile:
    """Raises BadFile with the path and, in JSON, the place."""
    text = _text(path)
    if path.suffix == PYTHON:
        return StrategyFile(kind=StrategyKind.PYTHON, name=path.stem, template="python", text=text)
    if path.suffix != ".json":
        raise BadFile(f"{path} is neither .py nor .json, so it is not known what kind of strategy it holds.")
    try:
        document = msgspec.json.decode(text)
        if isinstance(document, dict) and "nodes" in document:
            document = {"kind": "graph", "nodeGraph": document}
        found = msgspec.convert(document, StrategyFile)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadFile(f"{path}: {error}.") from error
    return _whole(path, found)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadFile(f"{path} is larger than a strategy may be, {MAX_BYTES:,} bytes.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadFile(f"{path} is not text in UTF-8.") from error
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}.") from error


def _whole(path: Path, found: StrategyFile) -> StrategyFile:
    """With everything its kind needs, and nothing of another's."""
    name = found.name or path.stem
    match found.kind:
        case StrategyKind.TEMPLATE if found.template and found.node_graph is None:
            return msgspec.structs.replace(found, name=name)
        case StrategyKind.TEMPLATE:
            raise BadFile(f"{path} is of kind template, and needs the name of one as `template`.")
        case StrategyKind.GRAPH if found.node_graph is not None and not found.template:
            graph = msgspec.json.encode(found.node_graph).decode()
            return msgspec.structs.replace(found, name=name, template="graph", text=graph)
        case StrategyKind.GRAPH:
            raise BadFile(f"{path} is of kind graph, and needs `nodeGraph` with nodes and edges.")
    raise BadFile(f"{path}: a strategy of kind {found.kind} is its source itself, not JSON.")
