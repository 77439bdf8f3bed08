"""`bench streams`: does a service tick as fast beside stalled readers of its event stream, does a cursor lose nothing.

A round is four short stretches of the same length: alone, beside readers, beside readers, alone; whatever else the
machine does, and whatever grows while it runs, meets both. Each stalled reader asks for the whole log, takes the first
bytes and no more; whoever is cut off is replaced. Then, beside as many of them, one reader goes away every few events
and comes back with its cursor; what it heard is compared with the log, read in one piece.
"""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from bin.commands.bench_streams_readers import Stalled, Visitor
from bin.commands.bench_streams_world import Service, Ticks, say, service
from bin.commands.bench_stretches import compared, percentile, twice_the_same
from core.errors import RunnerError

SETTLED_AFTER_S: Final = 2.0
SETTLED_WITHIN_S: Final = 10.0
CALM: Final = 1.2
"""Readers have come, or gone, when a second costs no more than this share of one without them."""


def measure(*, readers: int, seconds: float, rounds: int, runs: int) -> dict[str, Any]:
    """Raises RunnerError where the service does not start or tells nothing."""
    alone: list[Ticks] = []
    beside: list[Ticks] = []
    opening_s: list[float] = []
    closed = 0
    with service(runs) as running:
        running.stretch(seconds)  # whatever a process does but once
        for number in range(1, rounds + 1):
            say(f"Round {number} of {rounds} …")
            alone.append(running.stretch(seconds))
            usual = alone[-1].cpu_s / alone[-1].seconds
            cpu_s, began_s = running.cpu_s(), time.monotonic()
            with Stalled(running.address, readers) as stalled:
                _settle(running, usual)
                spent_s = time.monotonic() - began_s
                opening_s.append(max(0.0, running.cpu_s() - cpu_s - usual * spent_s))
                beside += [running.stretch(seconds), running.stretch(seconds)]
                closed += stalled.closed
            _settle(running, usual)
            alone.append(running.stretch(seconds))
        visits = _visited(running, readers, seconds)
    return {
        "readers": readers,
        "runs": runs,
        "alone": _figures(alone),
        "besideStalled": _figures(beside),
        "p99": _ratios([each.all for each in beside], [each.all for each in alone]),
        "heldP99": _ratios([each.held for each in beside], [each.held for each in alone]),
        "openingCpuMsEach": round(1_000 * sum(opening_s) / rounds / readers, 2),
        "cutAndReplaced": closed,
        **visits,
    }


def _settle(running: Service, usual: float) -> None:
    """Until each stalled reader has been sent all that its connection takes, or until all are gone."""
    time.sleep(SETTLED_AFTER_S - 1.0)
    until_s = time.monotonic() + SETTLED_WITHIN_S
    while time.monotonic() < until_s:
        cpu_s, began_s = running.cpu_s(), time.monotonic()
        time.sleep(1.0)
        if (running.cpu_s() - cpu_s) / (time.monotonic() - began_s) <= CALM * usual:
            return


def _visited(running: Service, readers: int, seconds: float) -> dict[str, Any]:
    say("A reader that comes and goes …")
    visitor = Visitor(running.address)
    with Stalled(running.address, readers), visitor.visiting():
        time.sleep(seconds)
    heard, logged = visitor.heard, visitor.log()
    if not heard:
        raise RunnerError("The service told no event while it was measured; give it more --seconds.")
    return {
        "visits": visitor.visits,
        "eventsHeard": len(heard),
        "eventsLost": len(set(logged) - set(heard)),
        "eventsRepeated": len(heard) - len(set(heard)),
        "inOrder": heard == sorted(heard),
    }


def _figures(stretches: list[Ticks]) -> dict[str, Any]:
    held = [took for each in stretches for took in each.held]
    traded = [took for each in stretches for took in each.traded]
    cpu_s, seconds = sum(each.cpu_s for each in stretches), sum(each.seconds for each in stretches)
    return {
        "ticks": len(held) + len(traded),
        "held": _percentiles(held),
        "traded": _percentiles(traded),
        "p99Ms": round(percentile(held + traded, 0.99), 3),
        "cpuMsASecond": round(1_000 * cpu_s / seconds, 1),
    }


def _percentiles(took: list[float]) -> dict[str, float]:
    return {"p50Ms": round(percentile(took, 0.5), 3), "p99Ms": round(percentile(took, 0.99), 3)}


def _ratios(beside: list[list[float]], alone: list[list[float]]) -> dict[str, Any]:
    return {
        "besideToAlone": msgspec.to_builtins(compared(beside, alone)),
        "aloneTwice": msgspec.to_builtins(twice_the_same(alone)),
    }
