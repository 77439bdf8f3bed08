"""A strategy in a file: code as it is, or as JSON a body that POST /api/strategies/deploy takes as it stands.

example.py, .ts, .js   code
example.json           {"strategyTemplate": …, "strategyParams": {…}, "symbol": …, "timeframe": …, "leverage": …}
                       or with "nodeGraph" or "code" instead of the template; a graph alone will do as well;
                       or with "type": "external" instead, whose signals come from outside
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
from msgspec import UNSET

from core.definition import StrategyKind
from core.errors import RunnerError
from core.run import Direction, RunSettings
from core.strategies import TEMPLATES, template
from facade.schemas.code import CodeType
from facade.schemas.deployments import DeployAny

MAX_BYTES: Final = 200_000
CODE: Final = {
    ".py": StrategyKind.PYTHON,
    ".ts": StrategyKind.TYPESCRIPT,
    ".js": StrategyKind.JAVASCRIPT,
}
TRADING: Final = (
    *("direction", "leverage", "order_size_pct", "take_profit_pct", "stop_loss_pct"),
    *("trailing_callback_pct", "trailing_activation_pct"),
)
"""What a file may say of its run that a backtest follows."""


class BadFile(RunnerError):
    """The file holds no strategy; says what is wrong with it."""


class StrategyFile(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy. `text`: what it is made of, where that is no template; `trading`: those of TRADING it names."""

    kind: StrategyKind
    name: str
    template: str
    parameters: Mapping[str, int | float | str] = {}
    symbol: str = "BTCUSDT"
    timeframe: str = "1h"
    trading: Mapping[str, Direction | Decimal | int | None] = {}
    text: str = ""

    @property
    def settings(self) -> RunSettings:
        return msgspec.structs.replace(RunSettings(), **self.trading)


def strategy_named(name: str) -> StrategyFile:
    """The strategy in the file of that name, or the built-in one so called. Raises BadFile."""
    return built_in(name) if name in TEMPLATES else read_strategy(Path(name))


def built_in(name: str) -> StrategyFile:
    """Raises UnknownTemplate."""
    return StrategyFile(kind=StrategyKind.TEMPLATE, name=name, template=template(name).name)


def read_strategy(path: Path) -> StrategyFile:
    """Raises BadFile with the path and, in JSON, the place."""
    text = _text(path)
    kind = CODE.get(path.suffix)
    if kind is not None:
        return StrategyFile(kind=kind, name=path.stem, template=kind.value, text=text)
    if path.suffix != ".json":
        raise BadFile(
            f"{path} is neither {', '.join(CODE)} nor .json: it is not known what kind of strategy it holds."
        )
    try:
        if "nodes" in msgspec.json.decode(text, type=dict[str, msgspec.Raw]):
            return StrategyFile(kind=StrategyKind.GRAPH, name=path.stem, template="graph", text=text)
        return _of_body(path, msgspec.json.decode(text, type=DeployAny))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadFile(f"{path}: {error}.") from error


def _of_body(path: Path, body: DeployAny) -> StrategyFile:
    made_of = {
        "strategyTemplate": body.strategy_template,
        "nodeGraph": body.node_graph,
        "code": body.code,
    }
    external = body.type is CodeType.EXTERNAL
    if sum(part is not None for part in made_of.values()) != (0 if external else 1):
        raise BadFile(f"{path} needs one of {', '.join(made_of)}, or the type external and none of them.")
    if external:
        kind, text = StrategyKind.EXTERNAL, ""
    elif body.node_graph is not None:
        kind, text = StrategyKind.GRAPH, msgspec.json.encode(body.node_graph).decode()
    elif body.code is not None:
        kind, text = StrategyKind(body.type.value), body.code
    else:
        kind, text = StrategyKind.TEMPLATE, ""
    said = {name: getattr(body, name) for name in TRADING}
    return StrategyFile(
        kind=kind,
        name=body.name or path.stem,
        template=body.strategy_template or kind.value,
        parameters=body.strategy_params,
        symbol=body.symbol or "BTCUSDT",
        timeframe=body.timeframe or "1h",
        trading={name: value for name, value in said.items() if value is not UNSET},
        text=text,
    )


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadFile(f"{path} is larger than a strategy may be, {MAX_BYTES:,} bytes.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadFile(f"{path} is not text in UTF-8.") from error
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}.") from error
