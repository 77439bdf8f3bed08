"""What every suite may ask for: the folder of recorded candles, and a real browser; and what none may do: tell a
canary (tests/canaries.py), by whatever it prints or logs at DEBUG.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.canaries import scan_all
from tests.leftovers import LEFT

# How long an example takes says how busy the machine is, not whether a law holds.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def recorded_data_folder() -> Path | None:
    folder = os.environ.get("RUNNER_RECORDED_DATA")
    return Path(folder) if folder else None


def chromium_program() -> str | None:
    """RUNNER_CHROMIUM, else the first installed one."""
    found = (shutil.which(name) for name in CHROMIUM_NAMES)
    return os.environ.get("RUNNER_CHROMIUM") or next((path for path in found if path), None)


@pytest.fixture(scope="session")
def recorded_data() -> Path | None:
    """Folder of recorded candles, or None: then the test falls back on the generator."""
    return recorded_data_folder()


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_of_a_canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What programs printed and logged, and all files and databases of the session (I13); the last to be undone."""
    yield
    LEFT.note_folder(tmp_path_factory.getbasetemp())
    assert LEFT.traces == [], f"the suite has left secrets behind: {', '.join(map(str, LEFT.traces))}"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser for a test marked `requires_chromium`."""
    program = chromium_program()
    if program is None:
        pytest.skip("Chromium is not installed")
    return program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips by name what this machine cannot run; the reason says what would make it run."""
    missing = {}
    if chromium_program() is None:
        missing["requires_chromium"] = "Chromium is not installed (sudo apt install -y chromium)"
    if recorded_data_folder() is None:
        missing["requires_recorded_data"] = "RUNNER_RECORDED_DATA names no folder of recorded candles"
    for item in items:
        for marker, reason in missing.items():
            if item.get_closest_marker(marker) is not None:
                item.add_marker(pytest.mark.skip(reason=f"{item.nodeid}: {reason}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that passes all else fails where its output or log holds a trace of a canary (I13)."""
    return told_no_secret((yield))


def told_no_secret(report: pytest.TestReport) -> pytest.TestReport:
    # A test that failed anyway may say what it was about: that is how it is mended.
    if report.passed and (traces := scan_all(report.sections)):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} tells secrets: {', '.join(map(str, traces))}"
    return report
