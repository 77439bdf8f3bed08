"""Who is quick is known from how it was when it was last asked."""

from __future__ import annotations

import pytest

from actors.sandbox.pace import MAX_KNOWN, QUICK_S, Pace
from actors.sandbox.rank import Rank


@pytest.mark.parametrize(
    ("used_s", "rank"),
    [
        ((), Rank.LAST),
        ((QUICK_S,), Rank.UNTIL_SLOW),
        ((2 * QUICK_S,), Rank.LAST),
        ((0.0, 2 * QUICK_S), Rank.LAST),
        ((2 * QUICK_S, 0.0), Rank.UNTIL_SLOW),
    ],
)
def test_who_is_not_known_to_be_quick_gives_way(used_s: tuple[float, ...], rank: Rank) -> None:
    """I14."""
    pace = Pace()
    for each in used_s:
        pace.learn("ours", each)
    pace.learn("another", 0.0)
    assert pace.rank("ours") is rank


def test_who_was_not_evaluated_for_longest_is_forgotten() -> None:
    pace = Pace()
    for number in range(MAX_KNOWN + 1):
        pace.learn(str(number), 0.0)
    assert pace.rank("0") is Rank.LAST
    assert pace.rank("1") is Rank.UNTIL_SLOW
