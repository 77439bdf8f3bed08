"""What a replay came to, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from actors.recording.day import Verdict
from actors.recording.difference import Difference

WIDTH = 400
"""Characters of a value that are shown; `--json` has all of it."""


def words(verdict: Verdict) -> str:
    return "\n".join(_lines(verdict))


def _lines(verdict: Verdict) -> Iterator[str]:
    yield (
        f"{verdict.recording}: {_time(verdict.began)} to {_time(verdict.ended)}, {verdict.entries:,} entries,"
        f" {verdict.ticks:,} tick rows."
    )
    if verdict.problem is not None:
        yield f"The recording ended early: {verdict.problem}."
    if verdict.shared_with:
        yield (
            f"Other processes used the database meanwhile ({', '.join(verdict.shared_with)}); what they did is not"
            " in this recording."
        )
    if verdict.difference is not None:
        yield from _difference(verdict.difference)
        return
    if verdict.recorded_hashes is None:
        yield "Identical as far as it goes: every message, order and answer of the ledger; the end was not reached."
        return
    yield (
        "Identical: " + ", ".join(f"{name} {sha[:12]}" for name, sha in verdict.recorded_hashes.items()) + "."
    )


def _difference(found: Difference) -> Iterator[str]:
    yield f"First difference, at {_time(found.at)} (entry {found.entry:,}): {found.what}."
    about = {
        "slot": found.slot,
        "run": found.run_id,
        "user": found.user_id,
        "strategy": found.strategy,
        "actor": found.actor,
        "where": found.where,
    }
    for name, value in about.items():
        if value:
            yield f"  {name:<10}{value}"
    yield f"  {'recorded':<10}{_shown(found.recorded)}"
    yield f"  {'replayed':<10}{_shown(found.replayed)}"
    if found.late:
        yield "  Another store call was under way, and which of the two committed first is not certain."
    if found.inputs:
        yield "Decided on:"
        for name, value in found.inputs.items():
            yield f"  {name}: {_shown(value)}"


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= WIDTH else f"{text[:WIDTH]} …"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
