"""bin/test: what cannot run here is said by name, what fails at the end, and nothing runs for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bin.checks import provide_browser, provide_receivers

ROOT = Path(__file__).resolve().parents[2]
SUITE = """
import pytest
@pytest.mark.requires_chromium
def test_page(): pass
@pytest.mark.requires_recorded_data
def test_months(): pass
def test_anything(chromium): pass
def test_rest(recorded_data): assert recorded_data is None
"""


def test_without_a_browser_or_a_way_to_install_one_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RUNNER_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    (note,) = provide_browser()
    assert "sudo apt install -y chromium" in note
    monkeypatch.setenv("RUNNER_CHROMIUM", "/somewhere/chromium")
    assert provide_browser() == []


def test_each_server_that_is_missing_for_signals_has_its_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [note.rsplit(" ", 1)[1] for note in provide_receivers()] == ["influxdb", "victoria-metrics"]


def test_what_this_machine_cannot_run_is_skipped_by_name(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    environment = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(ROOT), "RUNNER_RECORDED_DATA": ""}
    environment.pop("RUNNER_CHROMIUM", None)
    shown = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            str(tmp_path),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout
    assert "test_suite.py::test_page: Chromium is not installed (sudo apt install -y chromium)" in shown
    assert "test_suite.py::test_months: RUNNER_RECORDED_DATA names no folder" in shown
    assert shown.splitlines()[-1].startswith("1 passed, 3 skipped")
