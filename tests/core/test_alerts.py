"""What wakes the operator: each rule at its edge, each alert raised once and cleared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alerts import Alert, AlertKind, Named, Numbers, Thresholds, alerts_of, changes

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
LIMITS = Thresholds()
WELL = Numbers(now=NOW, ticks=1_000, failed=0, decided_at=NOW, every_s=60.0, lag_p99_ms=900.0)
THING = (Named(subject="r1", detail="why"),)


def wrong(**changed: Any) -> list[AlertKind]:
    numbers = msgspec.structs.replace(WELL, **changed)
    return [alert.kind for alert in alerts_of(numbers, LIMITS)]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, None),
        ({"ticks": 100, "failed": 20}, AlertKind.ERROR_RATE),
        ({"ticks": 100, "failed": 19}, None),
        ({"ticks": 19, "failed": 19}, None),
        ({"ticks": 20, "failed": 4}, AlertKind.ERROR_RATE),
        ({"decided_at": NOW - timedelta(minutes=16)}, AlertKind.NO_SIGNAL),
        ({"decided_at": NOW - timedelta(minutes=15, seconds=59)}, None),
        ({"decided_at": NOW - timedelta(minutes=60), "every_s": 3_600.0}, None),
        ({"decided_at": NOW - timedelta(days=1), "every_s": None}, None),
        ({"decided_at": None}, None),
        ({"lag_p99_ms": 10_000.0}, AlertKind.SCHEDULER_LAG),
        ({"lag_p99_ms": 9_999.0}, None),
        ({"lag_p99_ms": None}, None),
        ({"auto_paused": THING}, AlertKind.AUTO_PAUSED),
        ({"daily_loss": THING}, AlertKind.DAILY_LOSS),
        ({"unknown_orders": THING}, AlertKind.UNKNOWN_ORDER),
        ({"unprotected": THING}, AlertKind.UNPROTECTED),
        ({"keys": THING}, AlertKind.KEY_TROUBLE),
    ],
)
def test_each_rule_at_its_edge(changed: dict[str, Any], kind: AlertKind | None) -> None:
    assert wrong(**changed) == ([] if kind is None else [kind])


@pytest.mark.parametrize(
    ("kind", "above", "between", "below"),
    [
        (AlertKind.ERROR_RATE, {"failed": 200}, {"failed": 100}, {"failed": 99}),
        (AlertKind.SCHEDULER_LAG, {"lag_p99_ms": 10_000.0}, {"lag_p99_ms": 5_000.0}, {"lag_p99_ms": 4_999.0}),
    ],
)
def test_a_rate_around_its_threshold_is_told_once(
    kind: AlertKind, above: dict[str, Any], between: dict[str, Any], below: dict[str, Any]
) -> None:
    def kinds(changed: dict[str, Any], open_: set[AlertKind]) -> list[AlertKind]:
        return [a.kind for a in alerts_of(msgspec.structs.replace(WELL, **changed), LIMITS, open_)]

    assert kinds(above, set()) == [kind]
    assert kinds(between, set()) == []
    assert kinds(between, {kind}) == [kind]
    assert kinds(below, {kind}) == []


ALERTS = st.lists(
    st.builds(Alert, kind=st.sampled_from(AlertKind), subject=st.sampled_from(["", "a", "b"])),
    unique_by=lambda alert: alert.key,
)


@given(ALERTS, ALERTS)
def test_after_the_changes_what_is_open_is_what_is_wrong_and_looking_again_changes_nothing(
    before: list[Alert], now: list[Alert]
) -> None:
    open_ = {alert.key for alert in before}
    found = changes(open_, now)
    after = (open_ | {alert.key for alert in found.raised}) - set(found.cleared)
    assert after == {alert.key for alert in now}
    again = changes(after, now)
    assert (again.raised, again.cleared) == ((), ())
