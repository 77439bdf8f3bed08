"""The drill of kills, short: real processes on one PostgreSQL, killed and frozen while they trade."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bin.tether import tether
from tests.leftovers import LEFT
from tests.live.process import command, environment, folder

pytestmark = pytest.mark.live

PATIENCE_S = 180.0


def drill(*arguments: str) -> subprocess.CompletedProcess[str]:
    with folder() as data_dir:
        done = subprocess.run(
            command("drill", "kill", *arguments),
            cwd=data_dir,
            stdin=tether(),
            env=environment(data_dir),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    LEFT.note("what the drill said", done.stdout + done.stderr)
    return done


def test_i1_i5_i11_nothing_is_lost_or_done_twice_by_processes_that_are_killed_and_frozen() -> None:
    """I1, I2, I5, I6, I7, I9, I11, I12 and I16 as the rows tell; no run left alone beyond a lease and a slot."""
    done = drill("--minutes", "0.3", "--runs", "40", "--every", "3", "--seed", "4", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert [each["text"] for each in report["statements"] if each["rows"]] == []
    assert all(each["checked"] for each in report["statements"])
    # How many fall within the time is the machine's doing; a stopped one is always let go on again.
    assert "SIGKILL" in report["blows"]
    assert report["blows"].get("SIGSTOP") == report["blows"].get("SIGCONT")
    assert report["longestOrphanS"] <= report["orphanBoundS"]
    assert report["ticks"]["ok"]
    assert report["trades"], "the kills met no trading"


def test_a_database_that_holds_anything_is_refused(tmp_path: Path) -> None:
    from schema.embedded import EmbeddedPostgres
    from schema.evidence import witness

    with folder() as made, EmbeddedPostgres(made / "postgres") as server:
        with witness(server.owner_dsn) as connection:
            connection.execute("CREATE TABLE of_somebody_else AS SELECT 1 AS row")
        done = drill("--database", server.owner_dsn)
        with witness(server.owner_dsn) as connection:
            assert connection.execute("SELECT to_regclass('strategy_runs')").fetchone() == (None,)
    assert done.returncode == 1
    assert done.stderr == "A drill needs an empty database; this one has rows in public.of_somebody_else.\n"
