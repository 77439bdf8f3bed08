"""Each phase by itself: what it looks for, found where it is and not where it is not, either way round."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strategies.squeezeflow.context import environment
from core.strategies.squeezeflow.divergence import set_up
from core.strategies.squeezeflow.exit import ExitReason, exit_reasons
from core.strategies.squeezeflow.flow import Flow, moves, relative
from core.strategies.squeezeflow.reading import Phase, indicators_of, read_flow
from core.strategies.squeezeflow.reset import Reset, reset
from core.strategies.squeezeflow.score import Score, score
from tests.core.strategies.squeezeflow.cases import calm, drawn, mirrored

UP, DOWN = 10.0, -10.0
PARTING = calm(spot=[UP] * 6, perp=[DOWN] * 6)
"""For half an hour spot buys what the perpetual sells; the price goes nowhere."""
MEETING = calm(spot=[UP] * 6 + [0.0] * 6, perp=[DOWN] * 6 + [0.0] * 6, price=[1_000.0] * 14)
"""And half an hour later it has stopped, as has the price."""


def test_sizes_are_told_in_the_usual_move_of_the_last_day() -> None:
    assert moves(np.array([1.0, 2.0, 3.0]), 2).tolist() == [3.0, 5.0]
    assert relative(np.array([9.0, -2.0, 4.0]), 2).tolist() == [3.0, -2 / 3, 4 / 3]
    assert relative(np.zeros(3), 3).tolist() == [0.0, 0.0, 0.0], "nothing moves"


def test_what_lies_before_the_last_day_changes_no_size() -> None:
    flow = drawn(2)
    earlier = msgspec.structs.replace(flow, spot=flow.spot.copy(), close=flow.close.copy())
    earlier.spot[:40] *= 50
    earlier.close[:40] += 5_000
    assert earlier.spot_moves(15) == flow.spot_moves(15)
    assert earlier.gaps(30) == flow.gaps(30)
    assert earlier.price_moves(15) == flow.price_moves(15)


def test_two_that_go_together_all_day_do_not_part_by_a_trifle() -> None:
    together = drawn(1)
    alike = msgspec.structs.replace(together, spot=together.perp.copy())
    assert read_flow(alike).phase is Phase.NONE
    alike.spot[-3:] += 1_000.0
    assert abs(alike.gaps(15)[-1]) < 0.1
    assert read_flow(alike).phase is Phase.NONE


def test_context_leans_towards_the_side_spot_is_ahead_on() -> None:
    around = environment(PARTING)
    assert around.side == 1
    assert around.strength > 0.25
    assert environment(calm()).side == 0
    assert environment(calm(spot=[UP] * 48, perp=[UP] * 48)).side == 0, "both together are no squeeze"


def test_divergence_is_spot_and_perpetual_parting_while_the_price_does_not_follow_the_perpetual() -> None:
    found = set_up(PARTING)
    assert (found.side, found.age) == (1, 0)
    assert found.size > 1.75
    assert set_up(calm()).side == 0
    assert set_up(calm(spot=[UP] * 6, perp=[UP] * 6)).side == 0, "no divergence"
    falling = calm(spot=[UP] * 6, perp=[DOWN] * 6, price=[1_000.0 - 20 * step for step in range(1, 7)])
    assert set_up(falling).side == 0, "the price follows the perpetual"


def test_a_set_up_lasts_an_hour() -> None:
    ages = [set_up(calm(spot=[UP] * 6 + [0.0] * later, perp=[DOWN] * 6 + [0.0] * later)) for later in (6, 22)]
    assert [found.side for found in ages] == [1, 0]


def test_a_reset_is_flows_coming_together_while_the_price_stalls() -> None:
    assert reset(MEETING, 1).has_converged
    assert reset(MEETING, 1).deceleration > 0.6
    assert not reset(PARTING, 1).has_converged, "they still part"
    assert not reset(calm(), 1).has_converged, "there was no unbalanced move"
    # Prices between 1,000 and 1,040 in steps of 40: far from stalled.
    moving = calm(
        spot=[UP] * 6 + [0.0] * 6,
        perp=[DOWN] * 6 + [0.0] * 6,
        price=[1_000.0 + 40 * step for step in range(12)],
    )
    assert not reset(moving, 1).has_converged


def test_a_break_out_after_the_reset_has_the_flow_behind_it() -> None:
    meeting = {"spot": [UP] * 6 + [0.0] * 6, "perp": [DOWN] * 6 + [0.0] * 6}
    price = [1_000.0] * 12
    behind = calm(spot=[*meeting["spot"], UP], perp=[*meeting["perp"], UP], price=[*price, 1_020.0])
    assert reset(behind, 1).has_broken_out
    without = calm(spot=[*meeting["spot"], DOWN], perp=[*meeting["perp"], UP], price=[*price, 1_020.0])
    assert not reset(without, 1).has_broken_out, "spot is not behind it"
    small = calm(spot=[*meeting["spot"], UP], perp=[*meeting["perp"], UP], price=[*price, 1_000.5])
    assert not reset(small, 1).has_broken_out, "the price has not moved"


def _scored(flow: Flow) -> Score:
    return score(
        flow, 1, environment(flow), Reset(has_converged=True, has_broken_out=False, deceleration=0.8)
    )


def test_the_components_of_the_score_are_found_one_by_one() -> None:
    plain = _scored(calm())
    assert (plain.deceleration, plain.absorption, plain.failed_breakdown) == (pytest.approx(2.8), 0.0, 0.0)
    heavy = _scored(calm(volume=[6.0], perp=[-50.0], price=[1_000.0, 1_000.0]))
    assert heavy.absorption == 2.5, "twice the least volume, sold into, and the price stood"
    falling = _scored(calm(volume=[6.0], perp=[-50.0], price=[1_000.0, 990.0]))
    assert falling.absorption == 0.0, "the price has given way"
    broken = _scored(calm(price=[990.0, 1_000.0]))
    assert broken.failed_breakdown == 2.0, "below the hour's low, and back"
    assert _scored(calm(price=[1_000.0, 990.0])).failed_breakdown == 0.0, "below it still"
    assert _scored(PARTING).bias == 2.0


@pytest.mark.parametrize(
    ("points", "expected"),
    [(0.0, None), (3.99, None), (4.0, ("0.5", 2)), (5.0, ("0.5", 2)), (5.99, ("0.5", 2)), (6.0, ("1.0", 3)),
     (7.99, ("1.0", 3)), (8.0, ("1.5", 5)), (10.0, ("1.5", 5))],
)  # fmt: skip
def test_bands_of_the_score_set_size_and_leverage(points: float, expected: tuple[str, int] | None) -> None:
    """What lies between two bands has the lower one."""
    band = Score(deceleration=points).band
    assert (None if band is None else (band.size_factor, band.leverage)) == (
        None if expected is None else (Decimal(expected[0]), expected[1])
    )


EXITS = {
    ExitReason.FLOW_REVERSAL: calm(spot=[DOWN] * 6, perp=[UP] * 6),
    ExitReason.RANGE_BREAK: calm(price=[980.0]),
    ExitReason.CONTEXT_TURNED: calm(spot=[DOWN] * 48, perp=[UP] * 48),
    ExitReason.BOTH_TURNED: calm(spot=[DOWN] * 12, perp=[DOWN] * 12),
}


@pytest.mark.parametrize("reason", EXITS)
def test_each_reason_to_leave_a_long_is_found_and_leaves_no_short(reason: ExitReason) -> None:
    flow = EXITS[reason]
    assert reason in exit_reasons(flow, 1, environment(flow))
    assert exit_reasons(flow, -1, environment(flow)) == ()


def test_spot_falling_alone_is_no_reversal() -> None:
    flow = calm(spot=[DOWN] * 6)
    assert ExitReason.FLOW_REVERSAL not in exit_reasons(flow, 1, environment(flow))


def test_nothing_happening_is_no_reason_to_leave() -> None:
    assert exit_reasons(calm(), 1, environment(calm())) == ()


@given(st.integers(0, 2**32 - 1))
def test_law_mirrored_flow_is_read_as_its_mirror(seed: int) -> None:
    flow = drawn(seed)
    read, other = read_flow(flow), read_flow(mirrored(flow))
    assert (read.phase, read.side, read.set_up.side) == (other.phase, -other.side, -other.set_up.side)
    assert read.score == other.score
    assert (read.exits[1], read.exits[-1]) == (other.exits[-1], other.exits[1])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.25, 2.0, 1024.0]))
def test_law_sizes_are_relative_a_market_of_another_size_is_read_alike(seed: int, factor: float) -> None:
    """By powers of two, so that nothing is rounded."""
    flow = drawn(seed)
    larger = msgspec.structs.replace(flow, spot=flow.spot * factor, volume=flow.volume * factor)
    assert read_flow(larger) == read_flow(flow)


@given(st.integers(0, 2**32 - 1))
def test_law_every_component_is_told_finite_and_within_its_bounds(seed: int) -> None:
    flow = drawn(seed)
    told, points = indicators_of(read_flow(flow), flow), read_flow(flow).score
    assert np.isfinite(list(told.values())).all()
    assert len(told) <= 64
    assert abs(told["score"]) == pytest.approx(
        sum(told[f"score_{name}"] for name in ("deceleration", "absorption", "failed_breakdown", "bias"))
    )
    assert 0 <= points.deceleration <= 3.5
    assert 0 <= points.absorption <= 2.5
    assert points.failed_breakdown in (0.0, 2.0)
    assert 0 <= points.bias <= 2.0
    assert abs(told["phase"]) <= Phase.ENTRY
