"""Code that comes in with a request: tried in the sandbox before anything of it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec
from msgspec.structs import asdict, replace

from core.definition import StrategyDefinition, StrategyKind
from core.listening import hours_by_venue
from core.parameters import ParameterSpec
from core.strategies import template
from core.strategies.code import CODE_KINDS, ConvertedSource, StrategyCode
from core.strategies.configured import configured
from core.strategies.further_window import FurtherWindow
from core.symbols import parse_symbol
from core.timeframe import Timeframe
from facade.bridge import CodeError, TriedGraph, Validated
from facade.endpoint import Call
from facade.errors import ApiError, Detail, bad_field
from facade.making import NodeGraph, graph_source
from facade.schemas.code import CodeErrorShown, CodeType, ValidatedAnswer, WindowShown
from facade.schemas.convert import ConvertedFrom, ConvertedShown

DEFAULT_TEMPLATE: Final = "rsi_oversold_overbought"
VALIDATE_TIMEOUT_S: Final = 40.0
MAX_SOURCE_CHARS: Final = 200_000
"""The database keeps no more of a version."""


async def tried(
    call: Call, kind: StrategyKind, text: str, *, symbol: str, timeframe: str, params: Mapping[str, object]
) -> Validated:
    """Raises ApiError where nothing can be tried."""
    if "\0" in text:
        raise bad_field("code", "holds a character that no text has")
    market, closes, runner = parse_symbol(symbol), Timeframe.parse(timeframe), call.services.runner
    return await call.bridge.call(
        lambda: runner.validate(kind=kind, text=text, symbol=market, timeframe=closes, parameters=params),
        timeout_s=VALIDATE_TIMEOUT_S,
    )


async def code_to_keep(
    call: Call, kind: StrategyKind, text: str, *, symbol: str, timeframe: str, params: Mapping[str, object]
) -> StrategyCode:
    """The code with what it declares; 422 with what is wrong with it."""
    found = await tried(call, kind, text, symbol=symbol, timeframe=timeframe, params=params)
    if found.code is None:
        details = [Detail(field="code", message=located(error)) for error in found.errors]
        raise ApiError(
            422, f"The code cannot be used: {details[0].message}", code="CODE_INVALID", details=details
        )
    return found.code


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy is to be made of, checked: a template's name, code, or a graph."""

    kind: StrategyKind
    template: str
    source: str = ""
    defaults: Mapping[str, int] = {}
    """Parameters that count where the request names no others."""


class NamesContent(Protocol):
    """A request for a new strategy."""

    @property
    def strategy_template(self) -> str | None: ...
    @property
    def strategy_params(self) -> Mapping[str, object]: ...
    @property
    def code(self) -> str | None: ...
    @property
    def type(self) -> CodeType: ...
    @property
    def node_graph(self) -> NodeGraph | None: ...


async def content_of(call: Call, body: NamesContent, *, symbol: str, timeframe: str) -> Content:
    """Code is tried first. Raises ApiError or RunnerError with the field or the sentence."""
    if body.type is CodeType.EXTERNAL:
        nothing_to_evaluate(body.code, body.node_graph)
        kind = StrategyKind.EXTERNAL
        return Content(kind=kind, template=kind.value)
    if body.node_graph is not None:
        if body.code is not None:
            raise bad_field("code", "is given beside nodeGraph; a strategy is made of one thing")
        kind = StrategyKind.GRAPH
        return Content(kind=kind, template=kind.value, source=graph_source(body.node_graph))
    if body.code is None:
        chosen = template(body.strategy_template or DEFAULT_TEMPLATE)
        defaults = configured(chosen.specs, min_data_points=call.settings.min_data_points)
        return Content(kind=StrategyKind.TEMPLATE, template=chosen.name, defaults=defaults)
    kind = StrategyKind(body.type.value)
    code = await code_to_keep(
        call, kind, body.code, symbol=symbol, timeframe=timeframe, params=body.strategy_params
    )
    return Content(kind=kind, template=kind.value, source=code.source())


def nothing_to_evaluate(code: str | None, graph: NodeGraph | None) -> None:
    """Raises ApiError where a strategy of kind external is given something that answers by itself."""
    if code is not None or graph is not None:
        field = "code" if code is not None else "nodeGraph"
        raise bad_field(field, "is given beside type external, whose signals come from outside")


def with_origin(content: Content, origin: ConvertedFrom | None) -> Content:
    """Code keeps what it was converted from. Raises ApiError where there is no code, or both are too long together."""
    if origin is None:
        return content
    if content.kind not in CODE_KINDS:
        raise bad_field("convertedFrom", "is for code")
    return replace(content, source=code_from(StrategyCode.read(content.source), origin).source())


def code_from(code: StrategyCode, origin: ConvertedFrom) -> StrategyCode:
    """The code with what it was converted from. Raises ApiError where both are too long together."""
    kept = ConvertedSource(source=origin.source, language=origin.language, explanation=origin.explanation)
    converted = replace(code, converted_from=kept)
    if len(converted.source()) > MAX_SOURCE_CHARS:
        raise bad_field("convertedFrom", "is too long to be kept beside the code")
    return converted


def origin_shown(definition: StrategyDefinition) -> ConvertedShown | None:
    """None for a strategy that was not converted."""
    if definition.kind not in CODE_KINDS:
        return None
    kept = StrategyCode.read(definition.source).converted_from
    if kept is None:
        return None
    return ConvertedShown(source=kept.source, language=kept.language, explanation=kept.explanation)


def code_shown(definition: StrategyDefinition) -> str | None:
    """As its author wrote it; None for a strategy that is no code."""
    return StrategyCode.read(definition.source).text if definition.kind in CODE_KINDS else None


def located(error: CodeError) -> str:
    line = "" if error.line is None else f"line {error.line}: "
    return f"{line}{error.message}" + ("" if error.hint is None else f" {error.hint}")


def validated_answer(found: Validated) -> ValidatedAnswer:
    signal, code = found.signal, found.code
    specs = None if code is None or code.specs is None else code.specs
    return ValidatedAnswer(
        ok=code is not None,
        signal=None if signal is None else signal.action.value,
        indicators={} if signal is None else signal.indicators,
        errors=tuple(
            CodeErrorShown(line=error.line, message=error.message, hint=error.hint) for error in found.errors
        ),
        evaluations=found.evaluations,
        parameters=None if specs is None else tuple(_shown(spec) for spec in specs),
        lookback=None if code is None else code.lookback,
        uses_position=None if code is None else code.uses_position,
        log=found.log,
        windows=_windows_shown(found.further),
        heard_first_hours=hours_by_venue(found.windows),
    )


def graph_answer(found: TriedGraph) -> ValidatedAnswer:
    signal, fine = found.signal, not found.problems
    return ValidatedAnswer(
        ok=fine,
        signal=None if signal is None else signal.action.value,
        indicators={} if signal is None else signal.indicators,
        errors=tuple(
            CodeErrorShown(line=None, message=each.message, node=each.node, port=each.port, field=each.field)
            for each in found.problems
        ),
        evaluations=found.evaluations,
        parameters=tuple(_shown(spec) for spec in found.specs) if fine else None,
        lookback=found.lookback if fine else None,
        uses_position=found.uses_position if fine else None,
        log="",
        windows=_windows_shown(found.further),
        heard_first_hours=hours_by_venue(found.windows),
    )


def external_answer() -> ValidatedAnswer:
    """Nothing of it is evaluated, so nothing of it can be wrong."""
    return ValidatedAnswer(
        ok=True,
        signal=None,
        indicators={},
        errors=(),
        evaluations=0,
        parameters=None,
        lookback=None,
        uses_position=None,
        log="",
    )


def _windows_shown(windows: Sequence[FurtherWindow]) -> tuple[WindowShown, ...]:
    return tuple(WindowShown(**asdict(each)) for each in windows)


def _shown(spec: ParameterSpec) -> Mapping[str, object]:
    shown: Mapping[str, object] = msgspec.to_builtins(spec)
    return shown
