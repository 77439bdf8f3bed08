"""Owners take turns, and who takes long holds nobody up who does not."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actors.sandbox.turns import LONG_S, Turns


def taken(turns: Turns[str], now_s: float) -> str | None:
    found = turns.take(now_s)
    return None if found is None else found[1]


def waiting(places: int, *items: str) -> Turns[str]:
    """`items` are named by their owner's letter first."""
    turns: Turns[str] = Turns(places)
    for item in items:
        turns.put(item[0], item)
    return turns


def test_owners_take_turns() -> None:
    turns = waiting(6, "a1", "a2", "a3", "b1", "c1", "c2")
    assert [taken(turns, 0.0) for _ in range(7)] == ["a1", "b1", "c1", "a2", "c2", "a3", None]
    assert (turns.waiting, turns.at_work) == (0, 6)


def test_a_place_is_given_again_once_it_is_done() -> None:
    turns = waiting(1, "a1", "b1")
    place, _ = turns.take(0.0) or (0, "")
    assert taken(turns, LONG_S / 2) is None
    turns.done(place)
    assert taken(turns, LONG_S / 2) == "b1"


def test_beside_what_takes_long_another_owner_has_a_place() -> None:
    turns = waiting(2, "a1", "a2", "a3", "b1", "b2", "b3")
    turns.put("a", "a4")
    places = [turns.take(0.0) for _ in range(2)]
    assert [each[1] for each in places if each] == ["a1", "b1"]
    assert taken(turns, LONG_S) is None, "both have something that takes long"
    turns.put("c", "c1")
    assert taken(turns, LONG_S) == "c1"
    turns.put("d", "d1")
    assert taken(turns, LONG_S) == "d1"
    turns.put("e", "e1")
    assert taken(turns, 3 * LONG_S) is None, "no more than twice as many"


def test_who_takes_long_is_not_held_to_one_place_where_others_are_free() -> None:
    turns = waiting(2, "a1", "a2", "a3")
    assert [taken(turns, 0.0), taken(turns, LONG_S), taken(turns, LONG_S)] == ["a1", "a2", None]


def test_it_says_when_time_alone_makes_a_place() -> None:
    turns = waiting(1, "a1", "b1")
    assert turns.changes_in_s(0.0) is None, "there is one"
    taken(turns, 0.0)
    assert turns.changes_in_s(0.0) == LONG_S
    assert turns.changes_in_s(LONG_S) is None, "it has made one"
    assert taken(turns, LONG_S) == "b1"
    assert turns.changes_in_s(LONG_S) is None, "nothing waits"


@given(
    places=st.integers(1, 3),
    steps=st.lists(st.tuples(st.sampled_from("+-tT"), st.sampled_from("abc")), max_size=60),
)
def test_nothing_is_lost_or_given_twice_and_places_are_bounded(
    places: int, steps: list[tuple[str, str]]
) -> None:
    turns: Turns[int] = Turns(places)
    put, got, held, now_s = 0, Counter[int](), list[int](), 0.0
    for step, owner in steps:
        match step:
            case "+":
                turns.put(owner, put)
                put += 1
            case "-" if held:
                turns.done(held.pop(0))
            case "T":
                now_s += LONG_S
            case "t" if (found := turns.take(now_s)) is not None:
                held.append(found[0])
                got[found[1]] += 1
        assert turns.at_work == len(held) <= 2 * places
        assert turns.waiting == put - got.total()
    assert max(got.values(), default=1) == 1
    assert sorted([*got, *turns.clear()]) == list(range(put))
