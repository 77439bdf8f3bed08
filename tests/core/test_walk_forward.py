"""Walk-forward: what is tried was not searched, and what speaks against a result is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.timeframe import Timeframe
from core.walk_forward import LEAST_CANDLES, Fold, Range, Scored, TooShort, Walked, folds, warnings

START = datetime(2026, 1, 1, tzinfo=UTC)
SPACE = {"period": Range(low=0, high=100, whole=True)}


@given(
    count=st.integers(1, 20),
    candles=st.integers(21 * LEAST_CANDLES, 100_000),
    timeframe=st.sampled_from([Timeframe.M1, Timeframe.M15, Timeframe.H4]),
)
def test_no_fold_is_tried_on_what_it_or_an_earlier_one_was_searched_on(
    count: int, candles: int, timeframe: Timeframe
) -> None:
    end = START + timeframe.delta * candles
    cut = folds(START, end, count, timeframe)
    assert [each.number for each in cut] == list(range(1, count + 1))
    assert cut[-1].end == end
    for each in cut:
        assert each.start == START < each.split < each.end
        assert timeframe.floor(each.split) == each.split
    for before, after in pairwise(cut):
        assert after.split == before.end


def test_a_history_too_short_for_its_folds_is_refused_with_both_numbers() -> None:
    with pytest.raises(TooShort, match="4 folds need 100 1h candles at least, and there are 99"):
        folds(START, START + timedelta(hours=99), 4, Timeframe.H1)


def scored(period: float, score: float | None, trades: int = 100) -> Scored:
    return Scored(parameters={"period": period}, score=score, trades=trades)


def walked(before: Scored, after: float | None, plain: float | None = 0.0) -> Walked:
    fold = Fold(number=1, start=START, split=START + timedelta(days=1), end=START + timedelta(days=2))
    return Walked(fold=fold, before=before, after=scored(1, after), plain_after=scored(1, plain))


SOUND = scored(50, 2.0)
PLATEAU = [SOUND, scored(45, 1.9), scored(48, 1.8), scored(53, 1.9), scored(56, 1.7)]


@pytest.mark.parametrize(
    ("each", "tried", "codes"),
    [
        ([walked(SOUND, 1.5), walked(SOUND, 1.9)], PLATEAU, set()),
        ([walked(SOUND, 0.9)], PLATEAU, {"falls_out_of_sample"}),
        ([walked(SOUND, None)], PLATEAU, {"falls_out_of_sample", "no_better_than_defaults"}),
        ([walked(SOUND, 1.5, plain=1.5)], PLATEAU, {"no_better_than_defaults"}),
        ([walked(scored(50, -1.0), -0.5, plain=-2)], [], {"loses_in_sample"}),
        ([walked(scored(50, 2.0, trades=29), 1.9)], PLATEAU, {"few_trades"}),
        ([walked(scored(99, 2.0), 1.9)], PLATEAU, {"at_the_edge"}),
        ([walked(scored(2, 2.0), 1.9)], PLATEAU, {"at_the_edge"}),
        ([walked(scored(10, 2.0), 1.9), walked(scored(61, 2.0), 1.9)], [], {"wanders"}),
        (
            [walked(SOUND, 1.9)],
            [SOUND, scored(45, 0.1), scored(48, -1.0), scored(53, 0.9), scored(90, 1.9)],
            {"lonely_peak"},
        ),
    ],
)
def test_what_speaks_against_an_answer_is_said_by_name(
    each: list[Walked], tried: list[Scored], codes: set[str]
) -> None:
    found = warnings(each, tried, SPACE)
    assert found[0].code == "many_tried"
    assert {one.code for one in found[1:]} == codes
