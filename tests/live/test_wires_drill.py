"""The drill of wires, short: real processes trade at both simulated venues, whose own books are held against ours."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from bin.tether import tether
from tests.leftovers import LEFT
from tests.live.process import command, environment, folder

pytestmark = pytest.mark.live

PATIENCE_S = 240.0


def test_i3_the_venues_own_books_and_ours_agree_to_the_last_cent() -> None:
    """I2, I3, I4, I7, I11, I12 and I16 as rows and venues' books tell; sealed keys, HTTP, WebSockets."""
    with folder() as data_dir:
        done = subprocess.run(
            command("drill", "wires", "--hours", "0.4", "--users", "4", "--processes", "1", "--json"),
            cwd=data_dir,
            stdin=tether(),
            env=environment(data_dir),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    LEFT.note("what the drill said", done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert [each["text"] for each in report["statements"] if each["rows"]] == []
    assert report["venues"] == ["binance", "bybit"]
    assert report["fills"] >= 8, "a drill without fills shows nothing"
