"""All phases of one moment, put together: what squeezeflow sees in spot and perpetual flow."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import msgspec

from core.strategies.squeezeflow import context, divergence
from core.strategies.squeezeflow.context import Environment, environment
from core.strategies.squeezeflow.divergence import SetUp, set_up
from core.strategies.squeezeflow.exit import ExitReason, exit_reasons
from core.strategies.squeezeflow.flow import DAY_MIN, Flow
from core.strategies.squeezeflow.reset import Reset, reset
from core.strategies.squeezeflow.score import Score, score
from core.trade_flow import UNITS

_FLOW_MIN: Final = 30


class Phase(IntEnum):
    """How far an entry has come."""

    NONE = 0
    CONTEXT = 1
    DIVERGENCE = 2
    RESET = 3
    ENTRY = 4


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """`side` 1 long, -1 short, 0 none: of the set-up, or of the environment while there is none."""

    phase: Phase
    side: int
    environment: Environment
    set_up: SetUp
    reset: Reset
    score: Score
    exits: Mapping[int, tuple[ExitReason, ...]]
    """Why a long (1) and a short (-1) are to be left."""


def read_flow(flow: Flow) -> Reading:
    """A set-up against the environment counts for nothing; nor does an entry that would have to be left at once."""
    around, found = environment(flow), set_up(flow)
    exits = {side: exit_reasons(flow, side, around) for side in (1, -1)}
    side, phase = around.side, Phase.CONTEXT if around.side else Phase.NONE
    reset_now, points = Reset(has_converged=False, has_broken_out=False, deceleration=0.0), Score()
    if found.side and found.side != -around.side:
        side, phase = found.side, Phase.DIVERGENCE
        reset_now = reset(flow, side)
        if reset_now.has_converged or reset_now.has_broken_out:
            phase, points = Phase.RESET, score(flow, side, around, reset_now)
            if points.band is not None and not exits[side]:
                phase = Phase.ENTRY
    return Reading(
        phase=phase,
        side=side,
        environment=around,
        set_up=found,
        reset=reset_now,
        score=points,
        exits=exits,
    )


def indicators_of(reading: Reading, flow: Flow) -> dict[str, float]:
    """Every component, by name; `phase` and `score` have the sign of their side."""
    points, day = reading.score, flow.count(DAY_MIN)
    leans = {
        f"context_{minutes}m": lean
        for minutes, lean in zip(context.WINDOWS_MIN, reading.environment.leans, strict=True)
    }
    sizes = {
        f"divergence_{minutes}m": size
        for minutes, size in zip(divergence.WINDOWS_MIN, reading.set_up.sizes, strict=True)
    }
    return {
        "phase": float(reading.side * reading.phase),
        "score": reading.side * points.total,
        "score_deceleration": points.deceleration,
        "score_absorption": points.absorption,
        "score_failed_breakdown": points.failed_breakdown,
        "score_bias": points.bias,
        "context": reading.environment.lean,
        **leans,
        "set_up": float(reading.set_up.side),
        "set_up_size": reading.set_up.size,
        "set_up_age": float(reading.set_up.age),
        **sizes,
        "reset_converged": float(reading.reset.has_converged),
        "reset_broken_out": float(reading.reset.has_broken_out),
        "reset_deceleration": reading.reset.deceleration,
        "exit_long": float(len(reading.exits[1])),
        "exit_short": float(len(reading.exits[-1])),
        "spot_flow": float(flow.spot_moves(_FLOW_MIN)[-1]),
        "perp_flow": float(flow.perp_moves(_FLOW_MIN)[-1]),
        "spot_cvd_24h": float(flow.spot[-day:].sum()) / UNITS,
        "perp_cvd_24h": float(flow.perp[-day:].sum()) / UNITS,
    }
