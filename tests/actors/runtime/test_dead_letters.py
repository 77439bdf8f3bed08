from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.runtime.dead_letters import Reports


class Clock:
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_one_report_per_cause_per_second_and_the_rest_counted() -> None:
    clock = Clock()
    told: list[tuple[str, Mapping[str, Any]]] = []
    reports = Reports(lambda action, fields: told.append((action, fields)), clock.monotonic)
    for _ in range(100):
        reports.dead_letter("run-1", "message", "full")
        reports.failure("run-1", ValueError("boom"))
    reports.dead_letter("run-1", "message", "stopped")
    assert [(action, fields["suppressed"]) for action, fields in told] == [
        ("dead_letter", 0),
        ("actor_failed", 0),
        ("dead_letter", 0),
    ]
    clock.seconds = 1.0
    reports.dead_letter("run-2", "message", "full")
    reports.failure("run-2", ValueError("boom"))
    assert [fields["suppressed"] for _, fields in told[3:]] == [99, 99]
    assert reports.dead_letters == {"full": 101, "stopped": 1}
    assert reports.failures == 101


def test_what_is_remembered_about_causes_is_bounded() -> None:
    reports = Reports(lambda action, fields: None, Clock().monotonic)
    for number in range(5_000):
        reports.failure("run", ValueError(number))
    assert len(reports._last) <= 1_001
