"""Requests to close positions over HTTP: for administrators, by run, user or account, once each."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from starlette.testclient import TestClient

from bin.flatten_words import closed, flatten_words
from core.ids import RunId, UserId
from schema.flattens import FlattenOutcome
from schema.pg import PgStore
from tests.facade.world import ADMIN, START, SmallRunner, as_user, client_of, go_live, make_settings
from tests.schema.conftest import Database

PATH = "/api/runner/flatten"


def holding(client: TestClient, store: PgStore, database: Database, user: str) -> tuple[str, str]:
    """A run of `user` with an open position, and its account."""
    run_id = go_live(client, user)["runId"]
    run = store.run(RunId(UUID(run_id)))
    assert run is not None
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute(
            "INSERT INTO positions (run_id, user_id, account_id, symbol, leverage, quantity, open_cost, opened_at,"
            " entered_quantity, entered_value, exited_quantity, exited_value, realised_gross, fees, funding,"
            " updated_at)"
            " VALUES (%s, %s, %s, 'BTCUSDT', 1, 2, 200, %s, 2, 200, 0, 0, 0, 0, 0, %s)",
            [run.id, user, run.account_id, START, START],
        )
    return run_id, str(run.account_id)


@pytest.mark.parametrize("by", ["runId", "userId", "connectionId"])
def test_what_is_named_is_asked_for_once_with_an_event(
    client: TestClient, store: PgStore, database: Database, by: str
) -> None:
    run_id, account_id = holding(client, store, database, "ann")
    holding(client, store, database, "bob")
    body = {by: {"runId": run_id, "userId": "ann", "connectionId": account_id}[by]}
    answers = [client.post(PATH, json=body, headers=ADMIN) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    first, second = (answer.json()["flattens"] for answer in answers)
    assert first == second
    (asked,) = first
    assert (asked["runId"], asked["userId"], asked["askedBy"], asked["outcome"]) == (
        run_id,
        "ann",
        "root",
        None,
    )
    events = [each for each in store.events(run_id=RunId(UUID(run_id))) if each.type == "run.flatten"]
    assert [event.payload["action"] for event in events] == ["asked"]
    store.flattens.end(UUID(asked["id"]), FlattenOutcome.FLAT)
    store.flattens.end(UUID(asked["id"]), FlattenOutcome.GIVEN_UP)
    (listed,) = client.get(PATH, headers=ADMIN).json()["flattens"]
    assert listed["outcome"] == "flat"
    assert store.flattens.open() == []


def test_an_operator_makes_an_owners_request_their_own_and_an_owner_not_an_operators(
    client: TestClient, store: PgStore, database: Database
) -> None:
    """I8: an owner's waits for the kill switch; an operator who closes all the same is not kept waiting by it."""
    run_id = RunId(UUID(holding(client, store, database, "ann")[0]))
    [own] = store.flattens.ask(by=UserId("ann"), by_operator=False, run_id=run_id)
    [listed] = client.get(PATH, headers=ADMIN).json()["flattens"]
    assert (listed["askedBy"], listed["byOperator"]) == ("ann", False)
    [operators] = client.post(PATH, json={"runId": str(run_id)}, headers=ADMIN).json()["flattens"]
    assert (operators["id"], operators["askedBy"], operators["byOperator"]) == (str(own.id), "root", True)
    [still] = store.flattens.ask(by=UserId("ann"), by_operator=False, run_id=run_id)
    assert (still.id, still.asked_by, still.by_operator) == (own.id, "root", True)
    asked = [each.payload["by"] for each in store.events(run_id=run_id) if each.type == "run.flatten"]
    assert asked == ["ann", "root"]


@pytest.mark.parametrize("body", [{}, {"runId": str(uuid4()), "userId": "ann"}])
def test_exactly_one_target_is_named(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post(PATH, json=body, headers=ADMIN).status_code == 400


def test_what_is_not_there_is_a_404_and_who_holds_nothing_an_empty_list(client: TestClient) -> None:
    for body in ({"runId": str(uuid4())}, {"connectionId": str(uuid4())}):
        assert client.post(PATH, json=body, headers=ADMIN).status_code == 404
    assert client.post(PATH, json={"userId": "nobody"}, headers=ADMIN).json()["flattens"] == []


def test_it_is_for_administrators_while_the_runner_runs(client: TestClient, runner: SmallRunner) -> None:
    assert client.post(PATH, json={"userId": "ann"}, headers=as_user("ann")).status_code == 403
    assert client.post(PATH, json={"userId": "ann"}).status_code == 401
    with client_of(runner, make_settings(ENABLE_STRATEGY_RUNNER="false")) as off:
        assert off.post(PATH, json={"userId": "ann"}, headers=ADMIN).status_code == 503


class Answers:
    """A service that is done after so many questions."""

    def __init__(self, after: int) -> None:
        self._left = after
        self._row = {"id": "1", "symbol": "BTCUSDT", "runId": "r", "outcome": None}

    def post(self, path: str, body: object) -> dict[str, Any]:
        return {"flattens": [self._row]}

    def get(self, path: str, query: object = None) -> dict[str, Any]:
        self._left -= 1
        return {"flattens": [self._row | {"outcome": None if self._left else "flat"}]}


def test_the_command_follows_a_request_until_it_is_flat_or_the_time_is_up() -> None:
    assert closed(Answers(1), {"userId": "ann"}, wait_s=5.0)[0]["outcome"] == "flat"
    late = closed(Answers(99), {"userId": "ann"}, wait_s=0.0)
    assert flatten_words(late) == "BTCUSDT of run r: still being closed."
    assert flatten_words([]) == "Nothing is open."
