"""Absence is final at sign time + receive window + 10 s, seen twice at least 5 s apart (I4)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from core.lookup import Absences, absent
from core.order import Order
from core.signal import Action
from core.tick import Propose, begin
from tests.core.tick_cases import SLOT, facts


def order(**fields: object) -> Order:
    _, [propose] = begin(facts(Action.LONG))
    assert isinstance(propose, Propose)
    return replace(propose.order, **{"sign_ts": SLOT, "created_at": SLOT, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("looked_s", "final"),
    [
        ([0.0], [False]),
        ([14.9, 19.9, 24.9], [False, False, True]),
        ([15.0, 19.9, 20.0], [False, False, True]),
        ([15.0, 20.0], [False, True]),
        ([100.0], [False]),
        ([100.0, 105.0], [False, True]),
    ],
)
def test_absence_is_final_only_late_enough_and_twice(looked_s: list[float], final: list[bool]) -> None:
    absences, seen = Absences(), []
    for at in looked_s:
        looked = absent(order(), absences, venue_now=SLOT + timedelta(seconds=at))
        absences = looked.absences
        seen.append(looked.final)
    assert seen == final


def test_an_order_never_signed_counts_from_its_creation_and_one_without_either_is_never_final() -> None:
    late = SLOT + timedelta(hours=1)
    first = absent(order(sign_ts=None), Absences(), venue_now=late)
    assert absent(order(sign_ts=None), first.absences, venue_now=late + timedelta(seconds=5)).final
    assert absent(order(sign_ts=None, created_at=None), Absences(first=SLOT), venue_now=late).final is False
