"""`monitor --once`: a page about a service on a port, and a sentence where there is none."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bin.commands.main import main
from core.alerts import Thresholds
from core.ids import UserId
from schema.ops import SimulateTrade
from tests.facade.world import SmallRunner


def test_a_look_says_what_the_service_does(service: SmallRunner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "--once"]) == 0
    said = capsys.readouterr().out
    for part in ("Kill switch", "Active strategies", "Slot to finish", "Symbol"):
        assert part in said


def test_it_says_why_the_switch_is_on_and_what_is_wrong_whatever_the_words_hold(
    service: SmallRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    store = service.store
    store.set_kill_switch(on=True, reason="[/red] of a drill")
    store.settle([SimulateTrade(user_id=UserId("ann [/bold]"), delta=Decimal(-5_000))])
    store.alerts.look(Thresholds())
    assert main(["monitor", "--once"]) == 0
    said = capsys.readouterr().out
    assert "ON: [/red] of a drill" in said
    assert "daily_loss  ann [/bold]  paused until" in said


def test_nobody_there_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JWT_SECRET", "a-secret-of-the-tests-with-enough-bytes")
    assert main(["monitor", "--once", "--port", "9"]) == 1
    assert "Nothing answers at" in capsys.readouterr().err
