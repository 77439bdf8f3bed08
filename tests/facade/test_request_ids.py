"""A request's id is in the events it causes, in the tick it asks for, and nowhere else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from core.ids import RunId, UserId
from core.run import RunCommand
from facade.event_stream import EventHub
from schema.pg import PgStore
from tests.facade.test_event_stream import on_hub, opened, take
from tests.facade.world import ADMIN, SmallRunner, as_user, client_of, go_live, make_settings

ID = "support-case-00017"


def asked_as(user: dict[str, str], id: str = ID) -> dict[str, str]:
    return user | {"X-Request-Id": id}


def newest_of(store: PgStore) -> int:
    """The id of the newest event, 0 before the first."""
    newest = store.events(newest=True, limit=1)
    return newest[-1].id if newest else 0


@pytest.fixture
def run_id(client: TestClient) -> RunId:
    return RunId(UUID(go_live(client, "alice")["runId"]))


def test_a_users_write_is_named_in_its_event_and_on_the_stream(
    client: TestClient, runner: SmallRunner, store: PgStore, run_id: RunId
) -> None:
    before = newest_of(store)
    answer = client.post(f"/api/runs/{run_id}/start", headers=asked_as(as_user("alice")))
    assert answer.json()["requestId"] == ID
    [event] = store.events(after_id=before)
    assert (event.type, event.payload["request_id"]) == ("run.status", ID)

    async def story(hub: EventHub) -> None:
        frames = await opened(hub, owner=UserId("alice"), user_id=UserId("alice"), after_id=before)
        [_, told] = await take(frames, 2)
        assert told.data is not None
        assert told.data["payload"]["request_id"] == ID

    on_hub(runner, story)


def test_what_comes_after_on_the_same_connections_is_not_named(
    client: TestClient, store: PgStore, run_id: RunId
) -> None:
    client.post(f"/api/runs/{run_id}/start", headers=asked_as(as_user("alice")))
    before = newest_of(store)
    for _ in range(4):  # as many as the pool has connections
        store.command(run_id, RunCommand.PAUSE, by="alice")
        store.command(run_id, RunCommand.START, by="alice")
    assert all("request_id" not in event.payload for event in store.events(after_id=before))


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/api/runner/simulate-trade-result", {"userId": "alice", "pnlDeltaUsdt": "-60"}, "trade.closed"),
        ("/api/risk/alice/resume", {}, "risk_block"),
        ("/api/runner/kill-switch", {"on": True}, "risk_block"),
    ],
)
def test_what_an_administrator_does_is_named_whoever_writes_it(
    runner: SmallRunner, store: PgStore, path: str, body: dict[str, Any], kind: str
) -> None:
    """Through the risk ledger, whose transactions are of many requests, and straight to the database."""
    settings = make_settings(ENABLE_RUNNER_ADMIN_ENDPOINTS="true")
    with client_of(runner, settings) as client:
        if path.endswith("resume"):
            lost = {"userId": "alice", "pnlDeltaUsdt": "-60"}
            client.post("/api/runner/simulate-trade-result", json=lost, headers=ADMIN)
        before = newest_of(store)
        send = client.put if path.endswith("kill-switch") else client.post
        assert send(path, json=body, headers=asked_as(ADMIN)).status_code == 200
    events = store.events(after_id=before)
    assert kind in {event.type for event in events}
    assert {event.payload.get("request_id") for event in events} == {ID}


def test_an_operators_tick_carries_the_request_into_its_row_and_another_source_none(
    client: TestClient, store: PgStore, run_id: RunId
) -> None:
    client.post(f"/api/runs/{run_id}/start", headers=as_user("alice"))
    body = {"strategyRunId": str(run_id)}
    assert client.post("/api/runner/execute-tick", json=body, headers=asked_as(ADMIN)).status_code == 200
    listed = client.get("/api/runner/tick-runs", headers=asked_as(ADMIN, "another-request")).json()
    assert [tick["requestId"] for tick in listed["ticks"]] == [ID]
    again = client.post("/api/runner/execute-tick", json=body, headers=asked_as(ADMIN, "a-later-request"))
    assert again.json()["requestId"] == "a-later-request"
    [tick] = store.ticks(run_id=run_id)
    assert tick.request_id == ID, "who asks for what there is already changes nothing"
