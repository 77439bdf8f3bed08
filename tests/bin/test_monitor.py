"""`monitor --once`: a page about a service on a port, and a sentence where there is none."""

from __future__ import annotations

import pytest

from bin.commands.main import main
from tests.facade.world import SmallRunner


def test_a_look_says_what_the_service_does(service: SmallRunner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "--once"]) == 0
    said = capsys.readouterr().out
    for part in ("Kill switch", "Active strategies", "Slot to finish", "Symbol"):
        assert part in said


def test_nobody_there_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JWT_SECRET", "a-secret-of-the-tests-with-enough-bytes")
    assert main(["monitor", "--once", "--port", "9"]) == 1
    assert "Nothing answers at" in capsys.readouterr().err
