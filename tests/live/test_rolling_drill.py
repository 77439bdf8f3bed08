"""The drill of a rolling restart, short: processes replaced one by one while runs tick on one PostgreSQL."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from bin.tether import tether
from tests.live.process import command, environment, folder

pytestmark = pytest.mark.live

PATIENCE_S = 180.0


def test_i1_i9_i16_a_rolling_restart_misses_no_slot_and_decides_none_twice() -> None:
    """Each process says on /readyz that it goes, hands its runs over, and ends with exit code 0."""
    with folder() as data_dir:
        done = subprocess.run(
            command(
                *("drill", "rolling", "--minutes", "2", "--processes", "2"),
                *("--runs", "20", "--speed", "30", "--json"),
            ),
            cwd=data_dir,
            env=environment(data_dir),
            stdin=tether(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert [each["text"] for each in report["statements"] if each["rows"]] == []
    assert report["slots"] == 40
    assert report["restarts"] >= 2
    assert not {kind for kind in report["ticks"] if "missed" in kind or "interrupted" in kind}
    assert any(each["text"].startswith("a process that was asked to end") for each in report["statements"])
