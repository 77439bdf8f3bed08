"""`strategy optimize`: walk-forward folds searched one after another, what was found tried on what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from actors.backtest import BacktestRequest, ReplayPath
from actors.backtest_result import declared_by
from bin.commands.backtest_many import Outcome, Replays, opened_replays
from bin.commands.backtest_run import progress_bar
from bin.commands.backtest_source import SourceChoice
from bin.commands.optimize_search import Searched, search
from bin.commands.optimize_words import Replayed, document, print_search, replayed_key
from bin.commands.output import write_json
from core.errors import RunnerError
from core.parameters import ParameterError, Parameters, ParameterSpec
from core.strategy import strategy_parameters
from core.walk_forward import Fold, Range, Scored, Walked, folds
from facade.report.folder import prepare_folder, write_search_report

MAX_TRIALS: Final = 5_000
MAX_FOLDS: Final = 20
WIDEST: Final = 100_000
"""Bounds further apart are those of nobody's choice: what has them is searched only within a given range."""


class Objective(StrEnum):
    """What the best setting is best by: figures of a backtest's summary."""

    SHARPE = "sharpe"
    SORTINO = "sortino"
    PNL = "pnl"
    PROFIT_FACTOR = "profitFactor"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a search goes about it: `trials` settings in each of `folds`."""

    space: Mapping[str, Range]
    objective: Objective
    trials: int
    folds: int
    seed: int


class NothingFound(RunnerError):
    """No setting had a score, or there is nothing to search."""


def space_of(
    specs: Sequence[ParameterSpec], fixed: Mapping[str, object], texts: Sequence[str]
) -> dict[str, Range]:
    """What is not fixed and has bounds of its own, or is given some as `rsi_period=5:40`; the rest stays as it is.
    Where it is usual to look goes before what is allowed.
    """
    given: dict[str, tuple[str, str]] = {}
    problems: list[str] = []
    declared = {spec.name: spec for spec in specs}
    for text in texts:
        name, _, ends = (part.strip() for part in text.partition("="))
        low, _, high = (part.strip() for part in ends.partition(":"))
        if not (name and low and high):
            problems.append(f"--range {text!r} is not like rsi_period=5:40.")
        elif name not in declared:
            problems.append(f"There is no parameter {name!r}; there are {', '.join(declared)}.")
        elif name in given or name in fixed:
            problems.append(f"{name} is given twice.")
        given[name] = (low, high)
    space: dict[str, Range] = {}
    for spec in specs:
        around = spec.usual or (spec.minimum, spec.maximum)
        if spec.name not in fixed and (spec.name in given or 0 < around[1] - around[0] <= WIDEST):
            bounds = given.get(spec.name, (str(around[0]), str(around[1])))
            try:
                space[spec.name] = _range(spec, *bounds)
            except ValueError:
                problems.append(
                    f"--range {spec.name}={':'.join(bounds)} is no range within {spec.minimum:g}:{spec.maximum:g}."
                )
    if problems:
        raise ParameterError(problems)
    if not space:
        raise NothingFound(
            "There is nothing to search: no parameter that is left open declares bounds; --range gives one some."
        )
    return space


def optimize(
    request: BacktestRequest, source: SourceChoice, plan: Plan, *, report: Path | None, json: bool
) -> None:
    """Searches every fold and tells what came of it; the report's folder is proved first."""
    began_s = perf_counter()
    if report is not None:
        prepare_folder(report)
    start, end = _covered(request, source)
    cut = folds(start, end, plan.folds, request.timeframe)
    count = plan.folds * (plan.trials + 2)
    with (
        opened_replays(source, ReplayPath.AUTO, count=count, kind=request.kind) as replays,
        progress_bar() as progress,
    ):
        task = progress.add_task("settings", total=count)
        walk = Walk(request, plan, replays, lambda steps: progress.advance(task, steps))
        walked = [walk.fold(each) for each in cut]
    told = {
        **document(plan, walked, walk.searched, walk.figures),
        "candles": (end - start) // request.timeframe.delta,
        "replayed": {**walk.told, "from": start, "to": end},
        "seconds": round(perf_counter() - began_s, 3),
    }
    page = write_search_report(request, told, report) if report is not None else None
    if json:
        write_json(told)
    else:
        print_search(told, page)


class Walk:
    """Folds in their order; `figures` are the summaries of what was replayed, by span and setting."""

    def __init__(
        self, request: BacktestRequest, plan: Plan, replays: Replays, advance: Callable[[int], object]
    ) -> None:
        self._request = request
        self._plan = plan
        self._replays = replays
        self._advance = advance
        self._strategy = declared_by(request)
        self._plain = strategy_parameters(self._strategy, request.parameters)
        self.searched: Searched = Searched(tried=(), left_out=0, importance={})
        self.figures: dict[Replayed, Mapping[str, Any]] = {}
        self.told: Mapping[str, Any] = {}

    def fold(self, fold: Fold) -> Walked:
        """Raises NothingFound where no setting has a score."""
        plan, span = self._plan, (fold.start, fold.split)
        self.searched = search(
            plan.space,
            trials=plan.trials,
            seed=plan.seed,
            first=self._within(self._plain),
            evaluate=lambda settings: self._scored(settings, span),
        )
        best = self.searched.best
        if best is None:
            raise NothingFound(
                f"No setting has a {plan.objective} in fold {fold.number}: none of {plan.trials:,} traded enough."
            )
        after = (fold.split, fold.end)
        tried, plain = self._scored([best.parameters, self._plain], after)
        assert tried is not None
        assert plain is not None
        return Walked(fold=fold, before=best, after=tried, plain_after=plain)

    def _within(self, parameters: Parameters) -> Parameters:
        """As near to `parameters` as what is searched reaches."""
        return {
            name: min(each.high, max(each.low, parameters[name])) for name, each in self._plan.space.items()
        }

    def _scored(self, settings: Sequence[Parameters], span: tuple[datetime, datetime]) -> list[Scored | None]:
        """In their order; None where a setting contradicts itself."""
        requests: dict[int, BacktestRequest] = {}
        for at, setting in enumerate(settings):
            try:
                parameters = strategy_parameters(self._strategy, {**self._plain, **setting})
            except ParameterError:
                self._advance(1)
                continue
            requests[at] = replace(self._request, parameters=dict(parameters), start=span[0], end=span[1])
        outcomes = self._replays.outcomes(list(requests.values()), lambda: self._advance(1))
        found: list[Scored | None] = [None] * len(settings)
        for at, outcome in zip(requests, outcomes, strict=True):
            found[at] = self._score(outcome)
            self.figures[replayed_key(outcome.parameters, span)] = outcome.summary
            self.told = outcome.replayed
        return found

    def _score(self, outcome: Outcome) -> Scored:
        value = outcome.summary[self._plan.objective]
        score = None if value is None or not outcome.summary["trades"] else float(Decimal(str(value)))
        return Scored(parameters=outcome.parameters, score=score, trades=int(outcome.summary["trades"]))


def _covered(request: BacktestRequest, source: SourceChoice) -> tuple[datetime, datetime]:
    covered = source.open().coverage(request.symbol, request.timeframe)
    if covered is None:
        raise RunnerError(f"There are no {request.timeframe} candles of {request.symbol}.")
    start, end = request.start or covered.start, request.end or covered.end
    return max(start, covered.start), min(end, covered.end)


def _range(spec: ParameterSpec, low: str, high: str) -> Range:
    first, last = float(low), float(high)
    if not spec.minimum <= first < last <= spec.maximum:
        raise ValueError
    if spec.whole:
        return Range(low=int(first), high=int(last), whole=True)
    return Range(low=first, high=last, whole=False)
