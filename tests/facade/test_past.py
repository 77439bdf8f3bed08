"""`?asOf=`: what was known then of a run, its position, its strategy and its user's risk; what is gone is refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from core.ids import UserId
from core.limit_change import LimitChange
from core.order import Leg
from core.run import RunCommand
from schema.desk import ReviseStrategy, SetRunSettings
from schema.ops import ResumeUser, SimulateTrade
from schema.pg import PgStore
from tests.facade.world import SmallRunner, as_user
from tests.schema.conformance.world import MINUTE, START, World

ALICE, BOB = as_user("alice"), as_user("bob")


@pytest.fixture
def later(world: World, runner: SmallRunner) -> Any:
    def move(minutes: int = 1) -> datetime:
        """The instant before, after which nothing has happened yet."""
        before = world.now
        world.set_now(before + minutes * MINUTE)
        runner.now = world.now
        return before

    return move


def then(client: TestClient, path: str, at: datetime, user: dict[str, str] = ALICE) -> Any:
    answer = client.get(path, params={"asOf": at.isoformat()}, headers=user)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_run_is_told_with_the_status_and_settings_it_had(
    client: TestClient, world: World, store: PgStore, later: Any
) -> None:
    run = world.run("alice")
    first = later()
    store.command(run.id, RunCommand.PAUSE, by="alice")
    paused = later()
    wanted = replace(run.settings, leverage=3, stop_loss_pct=Decimal(2))
    store.arrange(SetRunSettings(run_id=run.id, settings=wanted))
    changed = later()
    store.command(run.id, RunCommand.RESUME, by="alice")
    resumed = later()
    path = f"/api/runs/{run.id}"
    told = [then(client, path, at)["run"] for at in (first, paused, changed, resumed)]
    assert [each["status"] for each in told] == ["active", "paused", "paused", "active"]
    assert [each["leverage"] for each in told] == [1, 1, 3, 3]
    assert [each["stopLossPct"] for each in told] == [None, None, "2", "2"]
    assert [each["activatedAt"] is not None for each in told] == [False, False, False, True]
    now, last = client.get(path, headers=ALICE).json()["run"], then(client, path, world.now)["run"]
    shared = last.keys() & now.keys()
    assert {name: last[name] for name in shared} == {name: now[name] for name in shared}


def test_a_position_is_told_by_the_fills_stored_by_then(client: TestClient, world: World, later: Any) -> None:
    run = world.run("alice")
    asks = {"stop_loss_pct": Decimal(5), "take_profit": Decimal(130)}
    fence = world.held(run, quantity="2", price="100", leverage=2, **asks)
    opened = later(0)
    later()
    # Executed a moment after the first fill by the venue, told of a minute later: not known before.
    exit_ = world.committed(run, fence, leg=Leg.EXIT, quantity="2")
    world.filled(exit_, "110", quantity="0.5", at=opened + timedelta(seconds=1))
    reduced = later()
    world.filled(exit_, "120", quantity="1.5")
    closed = later()
    path = f"/api/runs/{run.id}/positions"
    (held,) = then(client, path, opened + timedelta(seconds=2))["positions"]
    assert (held["quantity"], held["entryPrice"], held["leverage"], held["side"]) == ("2", "100", 2, "long")
    assert (float(held["stopLoss"]), float(held["takeProfit"])) == (95, 130)
    (held,) = then(client, path, reduced)["positions"]
    assert (held["quantity"], held["realisedUsdt"]) == ("1.5", "5.000000000000")
    assert then(client, path, closed)["positions"] == []
    assert then(client, f"/api/strategies/{run.strategy.id}/positions", reduced)["positions"] == [held]


def test_a_strategy_is_told_by_the_version_of_that_time(
    client: TestClient, world: World, store: PgStore, later: Any
) -> None:
    run = world.run("alice")
    first = later()
    revised = replace(run.strategy, version=2, parameters={"period": 21}, name="Slow", visibility="public")
    store.arrange(ReviseStrategy(definition=revised))
    second = later()
    path = f"/api/strategies/{run.strategy.id}"
    told = [then(client, path, at) for at in (first, second)]
    assert [(each["version"], each["params"]["period"]) for each in told] == [(1, 14), (2, 21)]
    assert [each["runs"][0]["strategyVersion"] for each in told] == [1, 2]
    names = [(each["name"], each["visibility"]) for each in told]
    assert names == [(run.strategy.name, run.strategy.visibility), ("Slow", "public")]


def test_a_name_that_was_not_written_down_is_not_guessed(
    client: TestClient, world: World, store: PgStore, later: Any
) -> None:
    """Versions from before names were kept with them, and of a process of the version before."""
    run = world.run("alice")
    first = later()
    store.arrange(ReviseStrategy(definition=replace(run.strategy, version=2, name="Slow")))
    second = later()
    store.database.run(lambda c: c.execute(b"UPDATE strategy_versions SET name = NULL"))
    path = f"/api/strategies/{run.strategy.id}"
    assert [then(client, path, at)["name"] for at in (first, second)] == [None, "Slow"]


def test_risk_is_told_with_the_pause_the_streak_and_the_day_of_that_time(
    client: TestClient, world: World, store: PgStore, later: Any
) -> None:
    user, run = UserId("alice"), world.run("alice")
    nothing = later()
    store.limits.tighten(user, LimitChange(daily_max_loss_usdt=Decimal(40)))
    world.trade(run, "-15")
    first = later(2)
    store.settle([SimulateTrade(user_id=user, delta=Decimal(-26))])
    lost = later()
    store.settle([ResumeUser(user_id=user, by="root")])
    resumed = later()
    told = [then(client, "/api/risk", at) for at in (nothing, first, lost, resumed)]
    assert [each["realizedPnlUsdt"] for each in told] == ["0", "-15", "-41", "-41"]
    assert [each["tradesCount"] for each in told] == [0, 1, 2, 2]
    assert [each["consecutiveLosses"] for each in told] == [0, 1, 2, 2]
    assert [each["blockedReason"] for each in told] == [None, "cooldown", "paused", "daily_loss"]
    assert [each["limits"]["dailyMaxLossUsdt"] for each in told] == ["50", "40", "40", "40"]
    now = client.get("/api/risk", headers=ALICE).json()
    shared = (told[-1].keys() & now.keys()) - {"requestId"}
    assert {name: told[-1][name] for name in shared} == {name: now[name] for name in shared}


def test_a_time_that_has_not_passed_is_refused_at_its_field(
    client: TestClient, world: World, later: Any
) -> None:
    run = world.run("alice")
    ahead = (world.now + MINUTE).isoformat()
    for path in paths_of(run):
        refusal = client.get(path, params={"asOf": ahead}, headers=ALICE)
        assert (refusal.status_code, refusal.json()["details"][0]["field"]) == (400, "asOf")


def test_i12_before_it_was_made_there_is_nothing_and_to_others_never(
    client: TestClient, world: World, later: Any
) -> None:
    later()
    run = world.run("alice")
    made = later()
    for path in paths_of(run)[:-1]:
        early = client.get(path, params={"asOf": START.isoformat()}, headers=ALICE)
        assert (early.status_code, early.json()["details"][0]["field"]) == (404, "asOf")
        foreign = client.get(path, params={"asOf": made.isoformat()}, headers=BOB)
        assert (foreign.status_code, foreign.json()["details"]) == (404, [])
    assert then(client, "/api/risk", made, BOB)["userId"] == "bob"


def paths_of(run: Any) -> list[str]:
    return [
        f"/api/runs/{run.id}",
        f"/api/runs/{run.id}/positions",
        f"/api/strategies/{run.strategy.id}",
        "/api/risk",
    ]
