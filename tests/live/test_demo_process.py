"""The demo as users run it: killed, stopped, resumed, and beside another on the same data."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.ids import NodeId, UserId
from core.residency import home
from schema.embedded import EmbeddedPostgres
from schema.evidence import ALWAYS, GAPS, SETTLED, broken, market_now, number, witness
from tests.live.evidence import database_of
from tests.live.process import Serving, until

pytestmark = pytest.mark.live

Start = Callable[..., Serving]
SPEED = ("--demo", "--speed", "900")
QUICK = {"RUNNER_LEASE_SEC": "5", "RUNNER_TICK_INTERVAL_SEC": "1"}
TICKS = "SELECT count(*) FROM strategy_tick_runs"
KILLS = 5


class MarketTime:
    """Market time as the database tells it, looked at again and again: it may stand, and never goes back."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.last = market_now(connection)

    def look(self) -> datetime:
        now = market_now(self._connection)
        assert now >= self.last, f"market time went back from {self.last} to {now}"
        self.last = now
        return now


@pytest.fixture
def killed_dir(used_dir: Path, serve: Start) -> Path:
    """The shared directory; made by a first process, which is killed in the middle of things."""
    if not (used_dir / "demo").exists():
        first = serve(used_dir, *SPEED, **QUICK).ready()
        with witness(database_of(used_dir)) as connection:
            until(lambda: number(connection, TICKS) >= 5, "the first ticks")
        first.kill()
    return used_dir


def test_i1_i2_i11_nothing_is_lost_or_done_twice_however_often_the_process_is_killed(
    killed_dir: Path, serve: Start
) -> None:
    """I1, I2, I6, I7, I9, I11 and I12, as the rows tell after kill -9 at random moments."""
    rng = random.Random(20_260_105)
    with witness(database_of(killed_dir)) as connection:
        time = MarketTime(connection)
        for _ in range(KILLS - 1):
            serving = serve(killed_dir, *SPEED, **QUICK).ready()
            assert serving.client.get("/").status_code == 200
            enough = number(connection, TICKS) + rng.randint(1, 25)
            until(lambda: time.look() and number(connection, TICKS) >= enough, "ticks go on")  # noqa: B023
            serving.kill()
            assert broken(connection, ALWAYS) == {}
        orders = number(connection, "SELECT count(*) FROM orders")

        serving = serve(killed_dir, *SPEED, **QUICK).ready()
        enough = number(connection, TICKS) + 10
        until(lambda: time.look() and number(connection, TICKS) >= enough, "ticks go on")
        pause(serving, True)
        until(lambda: not broken(connection, SETTLED), f"all is settled but {broken(connection, SETTLED)}")
        assert broken(connection, ALWAYS, GAPS) == {}
        assert orders, "the kills met no trading"
        time.look()
        assert serving.stop() == 0


def test_i16_sigterm_ends_the_process_in_order_and_the_next_start_resumes(
    killed_dir: Path, serve: Start
) -> None:
    """I16: exit code 0 within 30 s, orders in flight end recorded, the database stopped."""
    (database,) = (killed_dir / "demo").glob("*/postgres")
    serving = serve(killed_dir, *SPEED, **QUICK).ready()
    with witness(database_of(killed_dir)) as connection:
        pause(serving, False)
        enough = number(connection, "SELECT count(*) FROM orders") + 1
        until(lambda: number(connection, "SELECT count(*) FROM orders") >= enough, "an order")

    assert serving.stop(30.0) == 0

    assert "Traceback" not in serving.said
    assert not (database / "cluster" / "postmaster.pid").exists()
    with EmbeddedPostgres(database) as server, witness(server.service_dsn) as connection:
        assert broken(connection, ALWAYS, IN_FLIGHT) == {}
        stood = market_now(connection)
        ticks = number(connection, TICKS)
        assert live_nodes(connection) == []
    serving = serve(killed_dir, *SPEED, **QUICK).ready()
    with witness(database_of(killed_dir)) as connection:
        assert market_now(connection) >= stood
        until(lambda: number(connection, TICKS) > ticks, "ticks go on where they ended")
    assert serving.stop() == 0


def test_i16_sigterm_while_it_starts_leaves_nothing_running(killed_dir: Path, serve: Start) -> None:
    """I16 from the first moment: what was already up goes down again."""
    (database,) = (killed_dir / "demo").glob("*/postgres")
    serving = serve(killed_dir, *SPEED, **QUICK)
    until(lambda: "Starting the database" in serving.said, "the database is being started")
    assert serving.stop(30.0) == 0
    assert not (database / "cluster" / "postmaster.pid").exists()
    assert "Traceback" not in serving.said


def test_i1_two_processes_share_the_runs_and_one_takes_over_from_the_other(
    killed_dir: Path, serve: Start
) -> None:
    """I1 and I5 between processes: each user's runs in one of them, each slot once, also across a kill -9."""
    left = serve(killed_dir, *SPEED, WORKER_ID="left", **QUICK).ready()
    right = serve(killed_dir, *SPEED, WORKER_ID="right", **QUICK).ready()
    with witness(database_of(killed_dir)) as connection:
        until(lambda: len(live_nodes(connection)) == 2, "both processes beat")
        homes = until(
            lambda: settled_homes(connection), "each user's runs tick in the process that wins them"
        )
        assert set(homes.values()) == {"left", "right"}

        left.kill()
        since = market_now(connection)
        orphans = sorted(user for user, worker in homes.items() if worker == "left")
        until(
            lambda: set(orphans) <= set(workers(connection, since, "right")),
            f"the runs of {', '.join(orphans)} tick in the process that is left",
        )
        pause(right, True)
        until(lambda: not broken(connection, SETTLED), f"all is settled but {broken(connection, SETTLED)}")
        assert broken(connection, ALWAYS, GAPS) == {}
        pause(right, False)
    assert right.stop() == 0


IN_FLIGHT = {
    "I16: no order in flight is left unrecorded": """
        SELECT client_order_id, status FROM orders WHERE status IN ('intent', 'unknown')"""
}


def pause(serving: Serving, paused: bool) -> None:
    serving.client.get("/")  # logs in
    answer = serving.client.post("/api/demo/clock", json={"paused": paused})
    assert answer.status_code == 200, answer.text


def live_nodes(connection: psycopg.Connection[Any]) -> list[str]:
    rows = connection.execute(
        "SELECT id FROM runner_nodes WHERE beat_at > clock_timestamp() - interval '15 s'"
    ).fetchall()
    return sorted(row[0] for row in rows)


def workers(connection: psycopg.Connection[Any], since: datetime, worker: str) -> list[str]:
    """Users whose runs `worker` has ticked at a slot after `since`."""
    rows = connection.execute(
        "SELECT DISTINCT user_id FROM strategy_tick_runs WHERE slot > %s AND worker = %s", (since, worker)
    ).fetchall()
    return sorted(row[0] for row in rows)


def settled_homes(connection: psycopg.Connection[Any]) -> dict[str, str] | None:
    """User → worker of the last tick, once that is for every ticking user the one that wins them."""
    rows = connection.execute(
        """SELECT DISTINCT ON (t.user_id) t.user_id, t.worker FROM strategy_tick_runs t
             JOIN strategy_runs r ON r.id = t.run_id WHERE r.status = 'active' ORDER BY t.user_id, t.slot DESC"""
    ).fetchall()
    nodes = [NodeId("left"), NodeId("right")]
    found: dict[str, str] = dict(rows)
    return found if all(home(UserId(user), nodes) == worker for user, worker in found.items()) else None
