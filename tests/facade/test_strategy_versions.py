"""A strategy's versions: made by its owner at the version they have seen, followed by every run."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from core.ids import RunId
from schema.pg import PgStore
from tests.facade.test_deployments import NOBODYS, strategy_of
from tests.facade.test_subscriptions import subscribed
from tests.facade.world import SmallRunner, as_user

ALICE, BOB = as_user("alice"), as_user("bob")


def settings(client: TestClient, strategy: str, version: object, **body: Any) -> Any:
    headers = {**ALICE, "If-Match": str(version)}
    return client.put(f"/api/strategies/{strategy}/settings", json=body, headers=headers)


def test_settings_make_the_next_version_for_every_subscriber(
    client: TestClient, store: PgStore, runner: SmallRunner
) -> None:
    strategy = strategy_of(client, visibility="public", strategyTemplate="rsi_oversold_overbought")
    run = RunId(subscribed(client, strategy)["id"])
    tag = client.get(f"/api/strategies/{strategy}", headers=ALICE).headers["ETag"]
    assert tag == '"1"'
    hints = runner.hints
    answer = settings(client, strategy, tag, params={"rsi_period": 7}, timeframe="15m")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (answer.headers["ETag"], shown["version"], shown["timeframe"]) == ('"2"', 2, "15m")
    assert runner.hints == hints + 1
    followed = store.run(run)
    assert followed is not None
    assert (followed.strategy.version, followed.strategy.parameters["rsi_period"]) == (2, 7)
    assert store.events(run_id=run)[-1].type == "strategy.settings.updated"
    kept = settings(client, strategy, 2, params={"rsi_overbought": 80}).json()["params"]
    assert (kept["rsi_period"], kept["rsi_overbought"]) == (7, 80)


def test_settings_want_the_version_that_was_seen(client: TestClient) -> None:
    strategy = strategy_of(client)
    path = f"/api/strategies/{strategy}/settings"
    missing = client.put(path, json={"timeframe": "1h"}, headers=ALICE)
    assert (missing.status_code, missing.json()["details"][0]["field"]) == (400, "If-Match")
    assert settings(client, strategy, "yesterday").status_code == 400
    assert settings(client, strategy, '"1"', timeframe="1h").status_code == 200
    stale = settings(client, strategy, '"1"', timeframe="4h")
    assert (stale.status_code, stale.json()["code"]) == (409, "CONFLICT")
    assert client.get(f"/api/strategies/{strategy}", headers=ALICE).json()["timeframe"] == "1h"


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"params": {"nope": 1}}, 400, "nope"),
        ({"timeframe": "7m"}, 400, "7m"),
        ({"symbol": "DOGEUSDT"}, 422, "DOGEUSDT"),
        ({"code": "def decide(): ..."}, 400, "code"),
        ({"name": "x"}, 400, "name"),
    ],
)
def test_settings_that_cannot_be_leave_the_version_as_it_is(
    client: TestClient, body: dict[str, Any], status: int, named: str
) -> None:
    """I15: runs of it may be active, so the symbol is asked about here."""
    strategy = strategy_of(client)
    answer = settings(client, strategy, 1, **body)
    assert (answer.status_code, named in answer.json()["error"]) == (status, True), answer.text
    assert client.get(f"/api/strategies/{strategy}", headers=ALICE).json()["version"] == 1


def test_an_edit_makes_a_version_too(client: TestClient) -> None:
    strategy = strategy_of(client)
    body = {
        "name": "Other",
        "description": "d",
        "visibility": "marketplace",
        "strategyTemplate": "macd_cross",
    }
    templates = client.get("/openapi.json").status_code
    assert templates == 200
    answer = client.patch(
        f"/api/strategies/{strategy}", json=body | {"strategyTemplate": "ema_cross"}, headers=ALICE
    )
    shown = answer.json()
    assert (shown["name"], shown["description"], shown["visibility"], shown["version"]) == (
        "Other",
        "d",
        "marketplace",
        2,
    )
    stale = client.patch(
        f"/api/strategies/{strategy}", json={"name": "x"}, headers={**ALICE, "If-Match": "1"}
    )
    assert stale.status_code == 409


def test_only_the_owner_edits_and_archives(client: TestClient) -> None:
    """I12: also where others may see it and run it."""
    public = strategy_of(client, visibility="public")
    subscribed(client, public)
    for strategy in (strategy_of(client), public, NOBODYS):
        path = f"/api/strategies/{strategy}"
        answers = [
            client.patch(path, json={"name": "mine"}, headers=BOB),
            client.put(f"{path}/settings", json={"timeframe": "1h"}, headers={**BOB, "If-Match": "1"}),
            client.delete(path, headers=BOB),
        ]
        assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_an_archived_strategy_is_gone_and_not_before_its_runs_are_over(client: TestClient) -> None:
    """Decision 15."""
    strategy = strategy_of(client, visibility="public")
    run = subscribed(client, strategy)["id"]
    path = f"/api/strategies/{strategy}"
    refused = client.delete(path, headers=ALICE)
    assert (refused.status_code, refused.json()["code"]) == (409, "ILLEGAL_STATE")
    client.post(f"/api/runs/{run}/stop", headers=BOB)
    assert client.delete(path, headers=ALICE).status_code == 200
    assert client.get(path, headers=ALICE).status_code == 404
    assert client.get("/api/strategies", headers=ALICE).json()["strategies"] == []
    assert client.get(f"/api/runs/{run}", headers=BOB).json()["run"]["status"] == "archived"
    assert client.post(f"{path}/deploy", json={}, headers=BOB).status_code == 404
