"""A demo's market time (decision 2): it stands at each minute until the ticks due there are durable, or for 2 s."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.clock_keeper import HOLD_POLL_S, MAX_HOLD_S
from tests.live.keepers import Keepers

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PROMPT_S = 3 * HOLD_POLL_S


def test_time_stands_at_a_slot_while_runs_are_undecided() -> None:
    demo = Keepers(START)
    demo.store.undecided[START + MINUTE] = 3
    demo.pass_s(1.0 + MAX_HOLD_S / 2)
    assert demo.market == START + MINUTE
    assert demo.clocks[0].now() == START + MINUTE


def test_time_goes_on_as_soon_as_all_are_decided() -> None:
    demo = Keepers(START)
    demo.store.undecided[START + MINUTE] = 1
    demo.pass_s(1.5)
    demo.store.undecided.clear()
    demo.pass_s(PROMPT_S)
    assert START + MINUTE < demo.market < START + 2 * MINUTE


def test_time_goes_on_after_two_seconds_whoever_is_undecided() -> None:
    demo = Keepers(START)
    demo.store.undecided[START + MINUTE] = 1
    demo.pass_s(1.0 + MAX_HOLD_S - PROMPT_S)
    assert demo.market == START + MINUTE
    demo.pass_s(2 * PROMPT_S)
    assert demo.market > START + MINUTE


def test_nothing_undecided_costs_no_time() -> None:
    demo = Keepers(START, rate=600.0)
    demo.pass_s(10.0)
    assert demo.market >= START + timedelta(seconds=6_000) - MINUTE


def test_a_pause_stands_still_and_resuming_goes_on_from_there() -> None:
    demo = Keepers(START)
    demo.pass_s(0.5)
    assert demo.set_rate(0.0).rate == 0.0
    stood = demo.market
    demo.pass_s(100.0)
    assert demo.market == stood
    demo.set_rate(60.0)
    demo.pass_s(0.25)
    assert stood < demo.market <= stood + timedelta(seconds=15)


def test_a_pause_at_a_held_slot_lasts_beyond_the_hold() -> None:
    demo = Keepers(START)
    demo.store.undecided[START + MINUTE] = 1
    demo.pass_s(1.5)
    demo.set_rate(0.0)
    demo.pass_s(60.0)
    assert demo.market == START + MINUTE
    demo.set_rate(60.0)
    demo.pass_s(1.0)
    assert demo.market > START + MINUTE


@pytest.mark.parametrize("rate", [1.0, 60.0, 3_600.0])
def test_speed_is_market_seconds_per_second(rate: float) -> None:
    demo = Keepers(START)
    demo.set_rate(rate)
    before = demo.market
    demo.pass_s(0.01)
    assert demo.market - before == pytest.approx(
        timedelta(seconds=0.01 * rate), abs=timedelta(milliseconds=1)
    )


def test_time_that_came_to_stand_between_two_minutes_is_back_on_them_at_the_next() -> None:
    """Else no slot would ever be found decided, and each minute would take the full hold."""
    between = START + timedelta(seconds=21.6)
    demo = Keepers(START, ceiling=between)
    demo.pass_s(5.0)
    assert {slot.second for slot in demo.store.asked} == {0}
    ceiling = demo.store.clock().ceiling
    assert ceiling is not None
    assert ceiling.second == 0
    assert demo.market > START + 4 * MINUTE


def test_the_end_of_the_data_is_told_once_its_ticks_are_durable_and_time_stays_there() -> None:
    demo = Keepers(START, data_end=START + 2 * MINUTE)
    demo.store.undecided[START + 2 * MINUTE] = 1
    demo.pass_s(2.5)
    assert demo.ends == []
    demo.store.undecided.clear()
    demo.pass_s(100.0)
    assert demo.ends == [0]
    assert demo.market == START + 2 * MINUTE


def test_a_lift_that_another_change_undid_is_made_again() -> None:
    """A process that read the ceiling before the lift and wrote it after would otherwise stop time for good."""
    demo = Keepers(START)
    demo.store.undecided[START + MINUTE] = 1
    demo.pass_s(1.5)
    demo.set_rate(0.0)
    demo.pass_s(MAX_HOLD_S)  # lifted, while time stands exactly at the slot
    demo.store.set_clock(ceiling=START + MINUTE)
    demo.hint()
    demo.set_rate(60.0)
    demo.pass_s(MAX_HOLD_S + 4.0)
    assert demo.market > START + 4 * MINUTE


def test_a_change_of_speed_leaves_the_ceiling_where_it_is() -> None:
    demo = Keepers(START)
    demo.pass_s(0.5)
    before = demo.store.clock().ceiling
    assert demo.set_rate(3_600.0).ceiling == before == START + MINUTE


def test_two_keepers_lead_one_time_and_neither_waits_for_the_other() -> None:
    demo = Keepers(START, count=2)
    demo.store.undecided[START + MINUTE] = 1
    demo.pass_s(1.5)
    assert demo.market == START + MINUTE
    demo.store.undecided.clear()
    demo.pass_s(3.0)
    assert demo.market > START + 3 * MINUTE
    assert demo.clocks[0].now() == demo.clocks[1].now() == demo.market


def test_when_one_of_two_keepers_ends_the_other_leads_on() -> None:
    demo = Keepers(START, count=2)
    demo.pass_s(1.2)
    demo.systems[0].stop(timeout_s=1.0)
    demo.systems.pop(0)
    demo.pass_s(5.0)
    assert demo.market > START + 5 * MINUTE


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 3),
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 60.0, 3_600.0, None]), st.floats(0.01, 4.0)),
        min_size=1,
        max_size=12,
    ),
    undecided=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2)), max_size=10),
)
def test_time_never_goes_back_and_never_passes_an_undecided_slot_unheld(
    seed: int, count: int, steps: list[tuple[float | None, float]], undecided: list[tuple[int, int]]
) -> None:
    """Whatever is done to speed, in whatever order keepers come to act."""
    demo = Keepers(START, count=count, seed=seed)
    demo.store.undecided = {START + MINUTE * minute: left for minute, left in undecided}
    last = START
    for number, (rate, seconds) in enumerate(steps):
        if rate is not None:
            demo.set_rate(rate, process=number % count)
        demo.pass_s(seconds)
        assert demo.market >= last
        last = demo.market
        assert all(
            START + MINUTE * minute in demo.store.asked
            for minute, _ in undecided
            if START + MINUTE * minute < last
        )
    demo.set_rate(60.0)
    demo.pass_s(MAX_HOLD_S + 2.0)
    assert demo.market > last
