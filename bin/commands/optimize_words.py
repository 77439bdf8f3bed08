"""What a search over parameters tells: its JSON document, and its figures in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.table import Table

from bin.commands.backtest_run import output, print_heading
from core.parameters import Parameters
from core.walk_forward import Scored, Walked, warnings
from facade.report.figures import moment, money, number, ratio, whole

if TYPE_CHECKING:
    from bin.commands.optimize import Plan
    from bin.commands.optimize_search import Searched

Row = dict[str, Any]
Replayed = tuple[datetime, datetime, tuple[tuple[str, float], ...]]
"""A span and a setting."""

FIGURES: Final = (
    "pnl", "roiPct", "trades", "winRatePct", "profitFactor", "sharpe", "sortino", "maxDrawdownPct",
)  # fmt: skip


def replayed_key(parameters: Parameters, span: tuple[datetime, datetime]) -> Replayed:
    return (*span, tuple(sorted((name, float(value)) for name, value in parameters.items())))


def document(
    plan: Plan, walked: Sequence[Walked], searched: Searched, figures: Mapping[Replayed, Mapping[str, Any]]
) -> Row:
    """Folds with what was found in sample and what came of it out of sample; all settings of the last one."""

    def shown(scored: Scored, span: tuple[datetime, datetime]) -> Row:
        summary = figures[replayed_key(scored.parameters, span)]
        return {"score": scored.score, **{name: summary[name] for name in FIGURES}}

    last = walked[-1]
    return {
        "objective": plan.objective,
        "seed": plan.seed,
        "trials": plan.trials,
        "space": {name: msgspec.structs.asdict(each) for name, each in plan.space.items()},
        "folds": [
            {
                "number": each.fold.number,
                "from": each.fold.start,
                "split": each.fold.split,
                "to": each.fold.end,
                "parameters": each.before.parameters,
                "inSample": shown(each.before, (each.fold.start, each.fold.split)),
                "outOfSample": shown(each.after, (each.fold.split, each.fold.end)),
                "defaultsOutOfSample": shown(each.plain_after, (each.fold.split, each.fold.end)),
            }
            for each in walked
        ],
        "best": last.before.parameters,
        "importance": searched.importance,
        "warnings": [msgspec.structs.asdict(each) for each in warnings(walked, searched.tried, plan.space)],
        "leftOut": searched.left_out,
        "tried": [
            {
                "parameters": each.parameters,
                **shown(each, (last.fold.start, last.fold.split)),
            }
            for each in sorted(searched.tried, key=_best_first)
        ],
    }


def print_search(told: Mapping[str, Any], page: Path | None) -> None:
    print_heading(told)
    names, objective = list(told["space"]), told["objective"]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("Unseen part", *names, f"{objective} in", "out", "defaults out", "PnL out", "Trades out"):
        table.add_column(title, justify="right", overflow="fold")
    for fold in told["folds"]:
        after = fold["outOfSample"]
        table.add_row(
            f"{moment(fold['split'])} –",
            *(number(fold["parameters"][name]) for name in names),
            ratio(fold["inSample"]["score"]),
            ratio(after["score"]),
            ratio(fold["defaultsOutOfSample"]["score"]),
            money(after["pnl"]),
            whole(after["trades"]),
        )
    output().print(table)
    best = ", ".join(f"{name}={number(value)}" for name, value in told["best"].items())
    print(f"Best of {len(told['tried']):,} settings in the last fold: {best}")
    for each in told["warnings"]:
        print(f"Beware: {each['message']}")
    if page is not None:
        print(f"Report: {page}")


def _best_first(scored: Scored) -> tuple[bool, float]:
    return scored.score is None, -(scored.score or 0.0)
