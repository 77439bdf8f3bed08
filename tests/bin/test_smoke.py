"""`smoke`: a line a check against a service on a port, exit code 1 where one fails."""

from __future__ import annotations

import json
import os

import pytest

from bin.commands.main import main
from tests.facade.world import SmallRunner


@pytest.fixture
def url(service: SmallRunner) -> str:
    return f"http://127.0.0.1:{os.environ['PORT']}"


def test_a_service_as_it_should_be_passes_every_check(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["smoke", "--url", url])
    said = capsys.readouterr().out
    assert "FAIL" not in said
    assert code == 0
    assert "PASS  an admin sees the runner" in said
    assert "SKIP  cron runs what is due: RUNNER_CRON_SECRET is not set here" in said


def test_a_service_that_does_not_know_our_secret_fails_by_name(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JWT_SECRET", "another-secret-of-the-tests-with-enough-bytes")
    assert main(["smoke", "--url", url, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    failed = {each["name"]: each["why"] for each in report["checks"] if each["verdict"] == "FAIL"}
    assert "answered 401" in failed["an admin sees the runner"]
    assert "nobody sees strategies" not in failed


def test_nobody_there_fails_every_check_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smoke", "--url", "http://127.0.0.1:9"]) == 1
    assert "FAIL  the process answers: no answer" in capsys.readouterr().out
