"""The drill of cron, short: calls from everywhere at once, at processes that have timers of their own."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from bin.drill.cron import IN_TIME
from bin.tether import tether
from tests.live.process import command, environment, folder

pytestmark = pytest.mark.live

PATIENCE_S = 180.0


def test_i1_a_crowd_of_cron_calls_at_several_processes_ticks_each_slot_once() -> None:
    """All are answered, and a later call finds nothing due. How fast they are is a figure, and no test."""
    with folder() as data_dir:
        done = subprocess.run(
            command(
                *("drill", "cron", "--calls", "40", "--processes", "2"),
                *("--runs", "40", "--slots", "1", "--speed", "6", "--json"),
            ),
            cwd=data_dir,
            env=environment(data_dir),
            stdin=tether(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    report: dict[str, Any] = json.loads(done.stdout or "{}")
    assert report, done.stderr
    assert [each["text"] for each in report["statements"] if each["rows"] and each["text"] != IN_TIME] == []
    assert report["calls"] == 40
    assert report["lostAsks"] > 0, "nobody competed"
