"""A strategy from a file, made ready to run: form, parameters, and what it answers on sample candles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from actors.backtest import BacktestRequest, run_backtest
from actors.backtest_result import declared_by
from actors.prepared import prepare
from actors.sandbox.host import Limits, Zygote
from actors.sandbox.validation import validate_code
from actors.work.backtest import strategy_asked_for
from bin.commands.backtest_source import SourceChoice
from bin.strategy_file import StrategyFile
from core.definition import StrategyKind
from core.errors import RunnerError
from core.listening import hours_by_venue
from core.parameters import ParameterError, ParameterSpec
from core.strategies.code import CODE_KINDS
from core.strategies.further_window import FurtherWindow, further_windows
from core.strategies.graph.problems import GraphError
from core.strategy import strategy_parameters
from core.symbols import parse_symbol
from core.timeframe import Timeframe
from exchanges.feeds.generator import GeneratedMarket

SAMPLE_SLOTS: Final = 300
_SAMPLE_END: Final = datetime(2026, 4, 1, tzinfo=UTC)


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """`line` of code, or `place` in a graph; neither where the whole is to blame."""

    message: str
    line: int | None = None
    place: str = ""
    hint: str | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else f"{self.place}: " if self.place else ""
        return f"{where}{self.message}" + ("" if self.hint is None else f" {self.hint}")


class NotUsable(RunnerError):
    """The strategy has errors; one sentence each."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """`file` is ready to run where there are no errors; `answers` counts its actions over SAMPLE_SLOTS slots."""

    file: StrategyFile
    errors: tuple[Complaint, ...] = ()
    specs: tuple[ParameterSpec, ...] = ()
    lookback: int = 0
    uses_position: bool = False
    answers: Mapping[str, int] = {}
    log: str = ""
    heard_first_hours: Mapping[str, float] = {}
    windows: tuple[FurtherWindow, ...] = ()
    """Beside its own candles."""

    @property
    def ok(self) -> bool:
        return not self.errors


def ready(
    found: StrategyFile, *, symbol: str, timeframe: str, given: Mapping[str, str], sandbox: Limits
) -> StrategyFile:
    """As it runs: code with what it declares, read in the sandbox. Raises NotUsable with what the check found."""
    if found.kind not in CODE_KINDS:
        return found
    tried, _ = _tried(found, symbol, timeframe, given, sandbox)
    if tried.errors:
        raise NotUsable("\n".join(str(each) for each in tried.errors))
    return tried.file


def check(
    found: StrategyFile, *, symbol: str, timeframe: str, given: Mapping[str, str], sandbox: Limits
) -> Checked:
    """As the service checks it before it keeps it; then a short replay over generated candles."""
    market, closes = parse_symbol(symbol), Timeframe.parse(timeframe)
    log = ""
    if found.kind in CODE_KINDS:
        tried, log = _tried(found, market, closes.value, given, sandbox)
        if tried.errors:
            return tried
        found = tried.file
    request = BacktestRequest(
        template=found.template,
        kind=found.kind,
        source=found.text,
        symbol=market,
        timeframe=closes,
        parameters={**found.parameters, **dict(given)},
        limits=None,
        sandbox=sandbox,
    )
    try:
        strategy = declared_by(request)
        parameters = strategy_parameters(strategy, request.parameters)
        if found.kind is StrategyKind.EXTERNAL:
            return Checked(file=found)  # it answers nothing by itself
        lookback = strategy.lookback(parameters)
        request = replace(request, parameters=dict(parameters))
        prepared = prepare(replace(strategy_asked_for(request), venue=GeneratedMarket.VENUE))
        answers = _answers(request, prepared.lead)
    except GraphError as error:
        complaints = tuple(Complaint(message=each.message, place=each.place) for each in error.problems)
        return Checked(file=found, errors=complaints)
    except ParameterError as error:
        return Checked(file=found, errors=tuple(Complaint(message=each) for each in error.problems))
    except RunnerError as error:
        return Checked(file=found, errors=(Complaint(message=str(error)),))
    return Checked(
        file=found,
        specs=strategy.specs,
        lookback=lookback,
        uses_position=strategy.uses_position,
        answers=answers,
        log=log,
        heard_first_hours=hours_by_venue(prepared.windows),
        windows=further_windows(strategy, prepared.series, parameters),
    )


def _tried(
    found: StrategyFile, symbol: str, timeframe: str, given: Mapping[str, str], sandbox: Limits
) -> tuple[Checked, str]:
    """Code in the sandbox: its errors, or the file with its code and what it declares; and what it printed."""
    with closing(Zygote(sandbox)) as zygote:
        tried = validate_code(
            zygote,
            kind=found.kind,
            text=found.text,
            symbol=parse_symbol(symbol),
            timeframe=Timeframe.parse(timeframe),
            parameters={**found.parameters, **given},
        )
    if tried.code is None:
        errors = tuple(
            Complaint(message=each.message, line=each.line, hint=each.hint) for each in tried.errors
        )
        return Checked(file=found, errors=errors, log=tried.log), tried.log
    return Checked(file=replace(found, text=tried.code.source())), tried.log


def _answers(request: BacktestRequest, lead: timedelta) -> dict[str, int]:
    """Raises RunnerError where an evaluation fails."""
    delta = request.timeframe.delta
    end = request.timeframe.floor(_SAMPLE_END)
    shown = replace(request, start=end - lead - delta * SAMPLE_SLOTS, end=end)
    source = SourceChoice.of(shown, files=(), folder=None).open()
    result = run_backtest(replace(request, start=end - delta * SAMPLE_SLOTS, end=end), source)
    failed = {reason: count for (status, reason), count in result.ticks.items() if status == "error"}
    if failed:
        raise RunnerError(
            f"Of {SAMPLE_SLOTS} sample slots {sum(failed.values())} failed: {', '.join(failed)}."
        )
    return dict(Counter(signal.action for signal in result.signals))
