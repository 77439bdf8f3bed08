"""What a check of a strategy tells: its JSON document, and its sentences in a terminal."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from bin.strategy_check import SAMPLE_SLOTS, Checked
from core.definition import StrategyKind
from facade.report.figures import number


def document(checked: Checked) -> dict[str, Any]:
    return {
        "ok": checked.ok,
        "kind": checked.file.kind,
        "errors": [msgspec.to_builtins(each) for each in checked.errors],
        "parameters": [msgspec.to_builtins(each) for each in checked.specs],
        "lookback": checked.lookback,
        "usesPosition": checked.uses_position,
        "sampleSlots": SAMPLE_SLOTS,
        "answers": checked.answers,
        "windows": [
            {
                "name": each.name,
                "venue": each.venue,
                "market": each.market,
                "symbol": each.symbol,
                "timeframe": each.timeframe,
                "lookback": each.lookback,
                "minCandles": each.min_candles,
            }
            for each in checked.windows
        ],
        "heardFirstHours": checked.heard_first_hours,
        "log": checked.log,
    }


def print_check(checked: Checked) -> None:
    """Errors on stderr, one a line; what is right on stdout."""
    file = checked.file
    for each in checked.errors:
        print(f"{file.name}: {each}", file=sys.stderr)
    if checked.log:
        print(f"It printed: {checked.log.strip()}")
    if not checked.ok:
        return
    if file.kind is StrategyKind.EXTERNAL:
        print(
            f"{file.name}: external, its signals come from outside; there is nothing to evaluate or replay."
        )
        return
    what = file.template if file.kind.value == "template" else file.kind.value
    print(f"{file.name}: {what}, a window of {checked.lookback} candles")
    for wanted in checked.windows:
        name = "" if wanted.name is None else f"{wanted.name}: "
        at = "" if wanted.venue is None else f" of {wanted.venue}"
        print(
            f"  beside it {name}{wanted.lookback} of {wanted.market} {wanted.symbol} {wanted.timeframe}{at}"
        )
    for spec in checked.specs:
        ends = f"{number(spec.minimum)} to {number(spec.maximum)}"
        print(f"  {spec.name} = {number(spec.default)} ({ends}) {spec.meaning}".rstrip())
    answers = (
        ", ".join(f"{count} {action}" for action, count in sorted(checked.answers.items())) or "only hold"
    )
    print(f"On {SAMPLE_SLOTS} generated candles it answered: {answers}.")
    for venue, hours in checked.heard_first_hours.items():
        print(
            f"At {venue} it hears trades for {hours:g} hours before its first answer: no history tells them."
        )
