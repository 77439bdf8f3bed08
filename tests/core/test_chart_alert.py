"""What names an alert, and when it is too late for it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chart_alert import SAME_WITHIN, ChartAlert, is_late, names_of
from core.external_signal import DEADLINE, SentSignal
from core.signal import Action, Signal

AT = datetime(2026, 3, 10, 12, 0, 40, tzinfo=UTC)
LONG = SentSignal(signal=Signal(action=Action.LONG))
SHORT = SentSignal(signal=Signal(action=Action.SHORT))
KEY = re.compile(r"[A-Za-z0-9._:-]{8,64}")
MOMENTS = st.timedeltas(timedelta(days=-9_000), timedelta(days=9_000)).map(lambda each: AT + each)
ALERTS = st.builds(
    ChartAlert,
    id=st.none() | st.text(min_size=1, max_size=200),
    sent_at=st.none() | MOMENTS,
    bar_at=st.none() | MOMENTS,
)


@given(ALERTS, MOMENTS, st.sampled_from([LONG, SHORT]))
def test_every_name_has_the_form_of_an_idempotency_key(
    alert: ChartAlert, received_at: datetime, sent: SentSignal
) -> None:
    names = names_of(alert, sent, received_at)
    for key in (names.key, *names.other_keys):
        assert KEY.fullmatch(key)


@given(ALERTS, ALERTS)
def test_ids_decide_where_both_have_one(one: ChartAlert, other: ChartAlert) -> None:
    same = names_of(one, LONG, AT) == names_of(other, LONG, AT)
    if one.id is not None or other.id is not None:
        assert same is (one.id == other.id)
    else:
        assert same is ((one.sent_at, one.bar_at) == (other.sent_at, other.bar_at))


@given(MOMENTS, st.floats(0, 180))
def test_without_id_and_time_the_same_words_are_looked_for_in_the_minutes_beside(
    at: datetime, apart_s: float
) -> None:
    """Whichever minute of the clock each falls into; how far apart exactly, the store looks."""
    later = at + timedelta(seconds=apart_s)
    first, second = (names_of(ChartAlert(), LONG, each) for each in (at, later))
    if later - at < SAME_WITHIN:
        assert first.key in (second.key, *second.other_keys)
        assert second.key in (first.key, *first.other_keys), "whichever of the two is stored first"
    if later - at >= 2 * SAME_WITHIN:
        assert first.key not in (second.key, *second.other_keys)
    assert names_of(ChartAlert(), SHORT, at).key != first.key


def test_an_id_that_is_a_key_stays_readable() -> None:
    assert names_of(ChartAlert(id="breakout-12:00"), LONG, AT).key == "breakout-12:00"
    assert names_of(ChartAlert(id="Long"), LONG, AT).key.startswith("id:")
    assert names_of(ChartAlert(sent_at=AT), LONG, AT).key.startswith("time:")
    assert names_of(ChartAlert(), LONG, AT).key.startswith("minute:")


@pytest.mark.parametrize(
    ("sent_at", "late"),
    [
        (None, False),
        (AT, False),
        (AT + timedelta(hours=1), False),
        (AT - DEADLINE, False),
        (AT - DEADLINE - timedelta(microseconds=1), True),
    ],
)
def test_it_is_late_by_its_own_word_alone(sent_at: datetime | None, late: bool) -> None:
    assert is_late(ChartAlert(sent_at=sent_at, bar_at=AT - timedelta(days=1)), AT) is late
