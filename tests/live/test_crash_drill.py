"""The drill of crash points, short: a real process that trades at simulated venues is struck between two effects."""

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


def drill(*arguments: str) -> dict[str, Any]:
    with folder() as data_dir:
        done = subprocess.run(
            command("drill", "crash", "--json", *arguments),
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
    assert all(each["checked"] for each in report["statements"])
    return report


@pytest.mark.parametrize(
    "places",
    [
        pytest.param(("binance", "kill", "on-wire", "acknowledged"), id="binance-kill"),
        pytest.param(("bybit", "stop", "re-read", "answered"), id="bybit-stop"),
    ],
)
def test_i3_i4_nothing_is_lost_or_done_twice_by_a_process_struck_between_two_effects(
    places: tuple[str, ...],
) -> None:
    """I2, I3, I4, I5, I11 and I16 by the venue's journal and ledger; a stop stands for what is open."""
    venue, blow, *gaps = places
    chosen = [argument for gap in gaps for argument in ("--gap", gap)]
    report = drill("--venue", venue, "--blow", blow, *chosen)
    assert [(cell["gap"], cell["what"] != "") for cell in report["cells"]] == [(gap, True) for gap in gaps]
    assert report["longestSettledS"] <= 60
