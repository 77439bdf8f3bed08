"""Seeds in worker processes, the first broken one ending it; what was played as a table or one JSON document."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from itertools import count as counted
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

import msgspec
import typer
from rich.console import Console

from actors.simulation.checks.findings import Finding
from actors.simulation.world import SeedResult, World
from bin.commands.output import write_json
from bin.commands.workers import worker_pool
from core.errors import RunnerError

PlaySeed = Callable[..., SeedResult]
"""As `play_seed`."""

LINE_EVERY_S = 60.0
"""Where there is no terminal, how often a line says how far it has come."""
MOST_HASHES = 20_000
"""Hashes kept for the answer: those of the first so many seeds."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """`count` None: no end but `minutes` or an interrupt."""

    seed: int
    count: int | None
    days: float
    users: int
    jobs: int | None
    minutes: float | None
    trace: Path | None


class Tally:
    """What has been played so far. Seeds end in any order; the lowest broken one counts."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.last = first - 1
        self.seeds = 0
        self.steps = 0
        self.orders = 0
        self.happenings = 0
        self.hashes: dict[int, str] = {}
        self.broken: SeedResult | None = None

    def take(self, result: SeedResult) -> None:
        self.seeds += 1
        self.steps += result.steps
        self.orders += result.orders
        self.happenings += result.happenings
        self.last = max(self.last, result.seed)
        if len(self.hashes) < MOST_HASHES:
            self.hashes[result.seed] = result.hash
        if result.found and (self.broken is None or result.seed < self.broken.seed):
            self.broken = result


def play(asked: Asked, *, json: bool, played: PlaySeed | None = None) -> None:
    """Exit 0: nothing broken. Exit 1: a sentence per finding, and how to play that seed again.

    `played`: how a seed is, `play_seed` if nothing is said.
    """
    one = played or play_seed
    if asked.trace is not None and asked.count != 1:
        raise RunnerError("--trace follows one seed: leave --count and --forever out.")
    began_s = perf_counter()
    tally = Tally(asked.seed)
    jobs = min(asked.jobs or os.cpu_count() or 1, asked.count or 1 << 30)
    ends_s = None if asked.minutes is None else began_s + asked.minutes * 60
    results = _alone(asked, one, ends_s) if jobs == 1 else _together(asked, one, jobs, ends_s)
    console = Console(stderr=True)
    shown = console.status("") if console.is_terminal else nullcontext()
    said_s = 0.0
    try:
        with shown as status:
            for result in results:
                tally.take(result)
                spent_s = perf_counter() - began_s
                if status is not None:
                    status.update(_so_far(tally, spent_s))
                elif spent_s - said_s >= LINE_EVERY_S:
                    said_s = spent_s
                    console.print(_so_far(tally, spent_s))
                if tally.broken is not None:
                    break
    except KeyboardInterrupt:
        console.print("Interrupted; what was played until now:")
    finally:
        results.close()
    _tell(asked, tally, perf_counter() - began_s, json=json)
    if tally.broken is not None:
        _say_what_broke(asked, tally.broken)
        raise typer.Exit(1)


def play_seed(seed: int, days: float, users: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One seed; an exception nobody foresaw is a finding like any other."""
    world = World(seed, days=days, users=users, trace=trace)
    try:
        return world.play()
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        sentence = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        world.watch.findings.broken("error", sentence)
        return world.result()


def _alone(asked: Asked, played: PlaySeed, ends_s: float | None) -> Generator[SeedResult, None, None]:
    for seed in _seeds(asked):
        if ends_s is not None and perf_counter() >= ends_s:
            return
        if asked.trace is None:
            yield played(seed, asked.days, asked.users)
            continue
        with asked.trace.open("w") as file:
            yield played(seed, asked.days, asked.users, _lines(file))


def _lines(file: TextIO) -> Callable[[str], None]:
    return lambda line: print(line, file=file)


def _together(
    asked: Asked, played: PlaySeed, jobs: int, ends_s: float | None
) -> Generator[SeedResult, None, None]:
    seeds = _seeds(asked)
    pool = worker_pool(jobs, _leave_interrupts)
    try:
        waiting: set[Future[SeedResult]] = set()
        while True:
            while len(waiting) < 2 * jobs and (ends_s is None or perf_counter() < ends_s):
                seed = next(seeds, None)
                if seed is None:
                    break
                waiting.add(pool.submit(played, seed, asked.days, asked.users))
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for each in done:
                yield each.result()
    except BrokenProcessPool as error:
        raise RunnerError(
            "A worker process ended in the middle of a seed; is there enough memory?"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl+C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _seeds(asked: Asked) -> Iterator[int]:
    if asked.count is None:
        return counted(asked.seed)
    return iter(range(asked.seed, asked.seed + asked.count))


def _so_far(tally: Tally, seconds: float) -> str:
    return f"{tally.seeds:,} seeds, up to {tally.last:,}; {tally.seeds / seconds * 60:,.0f} a minute"


def _tell(asked: Asked, tally: Tally, seconds: float, *, json: bool) -> None:
    if json:
        write_json(_document(asked, tally, seconds))
        return
    if not tally.seeds:
        print("No seed was played to its end.")
        return
    span = f"Seed {tally.first}" if tally.seeds == 1 else f"Seeds {tally.first} to {tally.last}"
    what = f"{tally.steps:,} steps, {tally.orders:,} orders, {tally.happenings:,} happenings"
    days_a_minute = tally.seeds * asked.days / seconds * 60
    print(f"{span}: {tally.seeds:,} of {asked.days:g} days each, {what}.")
    print(f"{seconds:.1f} s, {days_a_minute:,.0f} virtual days a minute.")
    if tally.seeds == 1:
        print(f"Hash {tally.hashes[tally.last]}")
    if tally.broken is None:
        print("No invariant was broken.")


def _document(asked: Asked, tally: Tally, seconds: float) -> dict[str, Any]:
    broken = tally.broken
    found: list[Finding] = [] if broken is None else broken.found
    return {
        "seeds": tally.seeds,
        "firstSeed": tally.first,
        "lastSeed": tally.last,
        "days": asked.days,
        "violations": [
            {
                "seed": broken.seed,
                "at": finding.at,
                "invariant": finding.invariant,
                "sentence": finding.sentence,
                "replay": _replay(asked, broken.seed),
            }
            for finding in found
            if broken is not None
        ],
        "hashes": {str(seed): tally.hashes[seed] for seed in sorted(tally.hashes)},
        "steps": tally.steps,
        "orders": tally.orders,
        "happenings": tally.happenings,
        "seconds": round(seconds, 3),
    }


def _say_what_broke(asked: Asked, broken: SeedResult) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    for finding in broken.found:
        console.print(f"Seed {broken.seed}, {finding.at}: {finding.invariant} is broken: {finding.sentence}.")
    console.print(f"Play it again: {_replay(asked, broken.seed)} --trace FILE")


def _replay(asked: Asked, seed: int) -> str:
    users = "" if asked.users == 4 else f" --users {asked.users}"
    return f"bin/runner simulate --seed {seed} --days {asked.days:g}{users}"
