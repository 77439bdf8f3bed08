"""Rules of signals from outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from core.definition import StrategyKind
from core.errors import Reason
from core.external_signal import DEADLINE, MAX_AHEAD, SentSignal, bars_entry, expiry_of, slot_of
from core.ids import StrategyId
from core.signal import Action, Signal
from core.strategies.external import ExternalStrategy, NotReplayable, replayable

AT = datetime(2026, 3, 10, 12, 0, 17, 400_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def sent(**fields: object) -> SentSignal:
    return SentSignal(signal=Signal(action=Action.LONG), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, AT.replace(microsecond=0)),
        (AT.replace(microsecond=0) - SECOND, AT.replace(microsecond=0)),
        (AT.replace(microsecond=0), AT.replace(microsecond=0) + SECOND),
        (AT.replace(microsecond=0) + 4 * SECOND, AT.replace(microsecond=0) + 5 * SECOND),
        (AT.replace(microsecond=0) + 5 * SECOND, None),
    ],
)
def test_a_slot_is_the_second_of_receipt_or_the_next_that_is_free(
    last: datetime | None, expected: datetime | None
) -> None:
    assert slot_of(AT, last) == expected
    assert expected is None or expected - AT <= MAX_AHEAD


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        (None, AT + DEADLINE),
        (AT + 4 * SECOND, AT + 4 * SECOND),
        (AT + timedelta(hours=1), AT + DEADLINE),
        (AT, None),
        (AT - SECOND, None),
    ],
)
def test_it_may_be_acted_upon_for_thirty_seconds_or_less_where_its_sender_says_so(
    expires_at: datetime | None, expected: datetime | None
) -> None:
    assert expiry_of(AT, sent(expires_at=expires_at)) == expected


@pytest.mark.parametrize(
    ("collar", "price", "barred"),
    [
        ({}, "1", False),
        ({"min_price": "99"}, "99", False),
        ({"min_price": "99"}, "98.99", True),
        ({"max_price": "101"}, "101", False),
        ({"max_price": "101"}, "101.01", True),
        ({"min_price": "99", "max_price": "101"}, "100", False),
    ],
)
def test_both_ends_of_a_collar_are_inside(collar: dict[str, str], price: str, barred: bool) -> None:
    bounds = {name: Decimal(value) for name, value in collar.items()}
    assert bars_entry(sent(**bounds), Decimal(price)) == (Reason.OUTSIDE_COLLAR if barred else None)


def test_the_same_signal_has_the_same_content_and_another_has_another() -> None:
    assert sent(max_price=Decimal("1.5")).content == sent(max_price=Decimal("1.5")).content
    assert sent(max_price=Decimal("1.5")).content != sent(max_price=Decimal("1.6")).content


def test_such_a_strategy_is_told_from_any_other_by_its_id_and_cannot_be_replayed() -> None:
    one, other = (ExternalStrategy(StrategyId(UUID(int=number))) for number in (1, 2))
    assert one.content != other.content
    replayable(StrategyKind.TEMPLATE)
    with pytest.raises(NotReplayable, match="come from outside"):
        replayable(StrategyKind.EXTERNAL)
