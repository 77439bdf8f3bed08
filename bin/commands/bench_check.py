"""Short runs of the benchmarks against a committed baseline: a regression to four times as slow is a failure.

Every figure is processor time as a ratio to a bare loop or library measured in the same run, so that a slower machine
and busy neighbours change little. What is too slow is measured once more before it counts.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from time import process_time
from typing import Final

import msgspec

from core.errors import RunnerError

BASELINE: Final = Path(__file__).resolve().parents[2] / "docs" / "benchmarks-baseline.json"
TIMES: Final = 4.0
"""How many times its baseline a ratio may be."""
REWRITE_RUNS: Final = 3
FANOUT_RUNS: Final = 500
FANOUT_STRATEGIES: Final = 20
REPLAY_CANDLES: Final = 20_000
ACTORS: Final = 1_000
ASKS: Final = 2_000
REPEATS: Final = 3

Ratios = Mapping[str, float]
Part = Callable[[], Ratios]
"""One short benchmark; the names of its ratios begin with its own."""


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    measured: str
    machine: str
    ratios: dict[str, float]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A figure beside its baseline; `ratio` at most `limit` is well."""

    figure: str
    baseline: float
    ratio: float
    limit: float
    ok: bool


def parts() -> dict[str, Part]:
    return {"fanout": _fanout, "replay": _replay, "runtime": _runtime}


def check(parts: Mapping[str, Part], file: Path) -> list[Row]:
    """Every figure of `parts` beside the baseline in `file`; parts that failed have been measured twice."""
    baseline = _read(file)
    found: dict[str, float] = {}
    for part in parts.values():
        ratios = dict(part())
        if any(not row.ok for row in _rows(ratios, baseline)):
            again = part()
            ratios = {figure: min(ratio, again[figure]) for figure, ratio in ratios.items()}
        found |= ratios
    if missing := sorted(baseline.ratios.keys() - found.keys()):
        raise RunnerError(
            f"{file.name} has {', '.join(missing)}, which is not measured; write it anew: --rewrite."
        )
    return _rows(found, baseline)


def rewrite(parts: Mapping[str, Part], file: Path, today: datetime) -> Baseline:
    """The median of a few measurements becomes the baseline."""
    runs = [
        {figure: ratio for part in parts.values() for figure, ratio in part().items()}
        for _ in range(REWRITE_RUNS)
    ]
    ratios = {figure: round(statistics.median(run[figure] for run in runs), 3) for figure in runs[0]}
    baseline = Baseline(measured=today.date().isoformat(), machine=_machine(), ratios=ratios)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(baseline), indent=1) + b"\n")
    return baseline


def _read(file: Path) -> Baseline:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Baseline)
    except (OSError, msgspec.MsgspecError) as error:
        raise RunnerError(
            f"There is no baseline in {file}: {error}. `bench check --rewrite` writes one."
        ) from error


def _rows(ratios: Ratios, baseline: Baseline) -> list[Row]:
    if new := sorted(ratios.keys() - baseline.ratios.keys()):
        raise RunnerError(f"The baseline lacks {', '.join(new)}; write it anew: --rewrite.")
    return [_row(figure, ratio, baseline.ratios[figure]) for figure, ratio in ratios.items()]


def _row(figure: str, ratio: float, baseline: float) -> Row:
    limit = baseline * TIMES
    return Row(
        figure=figure, baseline=baseline, ratio=round(ratio, 3), limit=round(limit, 3), ok=ratio <= limit
    )


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def _fanout() -> Ratios:
    """What a slot costs this process, from the claims to the stored rows; the bare library's evaluations beside it."""
    from bin.commands.bench_fanout import measure
    from bin.commands.bench_runtime import bare_loop

    figures = measure(runs=FANOUT_RUNS, strategies=FANOUT_STRATEGIES, database=None)
    return {"fanout.slot": figures["cpuMs"] / 1_000 / cpu_s(lambda: bare_loop(FANOUT_RUNS))}


def _replay() -> Ratios:
    """Both paths beside TA-Lib and a plain walk over the same candles."""
    from actors.backtest import ReplayPath, run_backtest
    from bin.commands.bench_replay import generated, limit, long_only

    source, symbol, timeframe = generated(REPLAY_CANDLES)
    request = long_only(symbol, timeframe)
    columns = run_backtest(request, source).candles
    bare_s = cpu_s(lambda: limit(columns))
    actors_s = cpu_s(lambda: run_backtest(request, source, path=ReplayPath.ACTORS))
    fast_s = cpu_s(lambda: run_backtest(request, source, path=ReplayPath.FAST))
    return {"replay.actors": actors_s / bare_s, "replay.fast": fast_s / bare_s}


def _runtime() -> Ratios:
    """A tick to every actor beside the payload alone, an ask beside a queue's round trip, a stop beside the payload."""
    from bin.commands.bench_runtime import CLOSES, Crowd, StopOrder, bare_loop, live_system, queue_round_trip

    with queue_round_trip() as round_trip:
        round_trips_s = cpu_s(lambda: [round_trip() for _ in range(ASKS)])
    loop_s = cpu_s(lambda: bare_loop(ACTORS))
    with live_system() as system:
        crowd = Crowd(system, ACTORS)
        first = crowd.refs[0]
        ask_s = cpu_s(lambda: [first.ask(None) for _ in range(ASKS)])
        tick_s = cpu_s(lambda: crowd.tick(CLOSES))
        stop_s = cpu_s(lambda: crowd.stop(StopOrder.OLDEST), repeats=1)
    return {
        "runtime.tick": tick_s / loop_s,
        "runtime.ask": ask_s / round_trips_s,
        "runtime.stop": stop_s / loop_s,
    }


def cpu_s(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Processor seconds of this process, the least of a few: neighbours do not make it less, only more."""
    times = []
    for _ in range(repeats):
        began_s = process_time()
        run()
        times.append(process_time() - began_s)
    return min(times)
