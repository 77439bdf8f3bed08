"""Phase 5: why a position is left. There is no fixed target and no fixed stop."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from core.strategies.squeezeflow.context import Environment
from core.strategies.squeezeflow.flow import Flow

REVERSAL_MIN: Final = 30
BOTH_MIN: Final = 60
RANGE_MIN: Final = 60
"""Entries are made within the range of the last hour; what closes beyond it has left it."""
CLEAR: Final = 0.5
"""Of a usual move: less is noise."""
TURNED: Final = 1.0
TURNED_LEAN: Final = 0.3
"""Of the hour and of the four hours, each."""


class ExitReason(StrEnum):
    FLOW_REVERSAL = "flow reversal"
    RANGE_BREAK = "break of the entry range"
    CONTEXT_TURNED = "larger window turned"
    BOTH_TURNED = "both CVDs turned"


def exit_reasons(flow: Flow, side: int, environment: Environment) -> tuple[ExitReason, ...]:
    """Why a position on `side` (1 long, -1 short) is to be left now; none: it stays."""
    found = []
    spot, perp = (
        side * float(each[-1]) for each in (flow.spot_moves(REVERSAL_MIN), flow.perp_moves(REVERSAL_MIN))
    )
    if spot <= -CLEAR and perp >= CLEAR:
        found.append(ExitReason.FLOW_REVERSAL)
    if _has_left(flow, side):
        found.append(ExitReason.RANGE_BREAK)
    if max(side * lean for lean in environment.leans[1:]) <= -TURNED_LEAN:
        found.append(ExitReason.CONTEXT_TURNED)
    if all(
        side * float(each[-1]) <= -TURNED for each in (flow.spot_moves(BOTH_MIN), flow.perp_moves(BOTH_MIN))
    ):
        found.append(ExitReason.BOTH_TURNED)
    return tuple(found)


def _has_left(flow: Flow, side: int) -> bool:
    extremes = flow.low if side > 0 else -flow.high
    return bool(side * flow.close[-1] < extremes[-1 - flow.count(RANGE_MIN) : -1].min())
