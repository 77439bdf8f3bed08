"""Many replays over the same candles: in this process where they are few, else by one process per core."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from actors.backtest import BacktestRequest, ReplayPath, run_backtest
from bin.commands.backtest_source import SourceChoice
from bin.commands.workers import worker_pool
from core.definition import StrategyKind
from core.errors import RunnerError
from exchanges.feeds.base import CandleSource
from facade.report.document import replayed, summary

ALONE: Final = 24
"""So many combinations are replayed by the fast path before another process has started."""


class SweepFailed(RunnerError):
    """A sweep that cannot be made, or one of whose replays was refused."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a process sends back: the figures of one combination, or the sentence that refused it."""

    parameters: Mapping[str, Any]
    summary: Mapping[str, Any] = {}
    candles: int = 0
    replayed: Mapping[str, Any] = {}
    refusal: str | None = None


class Replays:
    """Candles that are read once, and whoever replays over them."""

    def __init__(
        self, path: ReplayPath, *, opened: CandleSource | None = None, pool: ProcessPoolExecutor | None = None
    ) -> None:
        self._path = path
        self._opened = opened
        self._pool = pool

    def outcomes(self, requests: Sequence[BacktestRequest], on_one: Callable[[], object]) -> list[Outcome]:
        """In the order of `requests`; `on_one` is called after each. One refusal ends it with its sentence."""
        if self._pool is None:
            assert self._opened is not None
            return [self._here(request, self._opened, on_one) for request in requests]
        try:
            futures = {
                self._pool.submit(_replay_one, request, self._path): index
                for index, request in enumerate(requests)
            }
            done: dict[int, Outcome] = {}
            for future in as_completed(futures):
                done[futures[future]] = _accepted(future.result())
                on_one()
        except BrokenProcessPool as error:
            raise SweepFailed("A process of the sweep was killed, perhaps for want of memory.") from error
        return [done[index] for index in range(len(requests))]

    def _here(self, request: BacktestRequest, opened: CandleSource, on_one: Callable[[], object]) -> Outcome:
        outcome = _accepted(_replayed(request, opened, self._path))
        on_one()
        return outcome


@contextmanager
def opened_replays(
    source: SourceChoice, path: ReplayPath, *, count: int, kind: StrategyKind
) -> Iterator[Replays]:
    """For `count` replays of strategies of `kind`; however it is left, no process goes on."""
    if count <= ALONE and path is not ReplayPath.ACTORS and kind is StrategyKind.TEMPLATE:
        yield Replays(path, opened=source.open())
        return
    pool = worker_pool(min(os.cpu_count() or 1, count), _open_source, source)
    try:
        yield Replays(path, pool=pool)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


_SOURCE: CandleSource | str = ""
"""In a process of the sweep: its candles, read once, or the sentence that says why they cannot be."""


def _open_source(source: SourceChoice) -> None:
    global _SOURCE
    # Ctrl-C reaches every process of the terminal; ours ends without a word, the first one answers for all.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        _SOURCE = source.open()
    except RunnerError as refusal:
        _SOURCE = str(refusal)


def _replay_one(request: BacktestRequest, path: ReplayPath) -> Outcome:
    if isinstance(_SOURCE, str):
        return Outcome(parameters=request.parameters, refusal=_SOURCE)
    return _replayed(request, _SOURCE, path)


def _accepted(outcome: Outcome) -> Outcome:
    if outcome.refusal is not None:
        raise SweepFailed(outcome.refusal)
    return outcome


def _replayed(request: BacktestRequest, source: CandleSource, path: ReplayPath) -> Outcome:
    """Refusals travel as text: not every exception survives the way between processes."""
    try:
        result = run_backtest(request, source, path=path)
    except RunnerError as refusal:
        return Outcome(parameters=request.parameters, refusal=str(refusal))
    return Outcome(
        parameters=request.parameters,
        summary=summary(result),
        candles=len(result.candles),
        replayed=replayed(result),
    )
