"""What holds for every route there is, and for every one to come: made from INTERFACE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio.lowlevel
import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from actors.keys import Keys
from facade.access import Access
from facade.app import INTERFACE
from facade.operation import Operation
from schema.pg import PgStore
from tests.facade.owned import UNKNOWN, body_for, make, path_to
from tests.facade.test_idempotency import Dying, RunnerWithKeys
from tests.facade.world import ADMIN, SmallRunner, as_user, bearer, client_of, make_settings, token_of
from tests.schema.test_vault import master, vault_of
from tests.venue_keys import VenueKeys

OPERATIONS = [each.operation for each in INTERFACE]
CLOSED = [
    each for each in OPERATIONS if each.access not in (Access.ANYONE, Access.OPERATOR, Access.ALERT_KEY)
]
"""What an operator may see is in test_health.py: it is closed to other machines only; alerts are in
test_alert_keys.py.
"""
OPEN = {"/healthz", "/readyz", "/openapi.json", "/docs"}
"""Paths open to anyone; a new one is a decision."""


def name(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def ask(client: TestClient, operation: Operation, headers: dict[str, str], id_: str = UNKNOWN) -> Any:
    body = None if operation.body is None else body_for(operation.body)
    return client.request(
        operation.method, path_to(operation, id_), json=body, headers=headers | {"If-Match": '"1"'}
    )


def streams(operation: Operation) -> bool:
    """Whether its answer does not end by itself."""
    return operation.produces == "text/event-stream"


def begin(client: TestClient, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and first bytes of an answer that may never end: the caller goes as soon as they are there."""
    told: list[Message] = []

    async def receive() -> Message:
        while len(told) < 2:
            await anyio.lowlevel.checkpoint()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        told.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(key.lower().encode(), value.encode()) for key, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    assert client.portal is not None
    client.portal.call(client.app, scope, receive, send)
    return told[0]["status"], told[1].get("body", b"")


@pytest.fixture
def http(runner: SmallRunner, store: PgStore) -> Iterator[TestClient]:
    venue = VenueKeys(takes_any=True)
    settings = make_settings(ENABLE_RUNNER_ADMIN_ENDPOINTS="true")
    keys = Keys(store, store.connections, vault_of(master("m1", 1)), venue)
    with client_of(runner, settings, keys=keys) as opened:
        yield opened


def test_what_is_open_to_anyone_is_listed_here() -> None:
    assert {each.path for each in OPERATIONS if each.access is Access.ANYONE} <= OPEN


@pytest.mark.parametrize("operation", CLOSED, ids=name)
def test_nobody_is_401(operation: Operation) -> None:
    client = client_of(SmallRunner(None))
    for headers in (
        {},
        bearer("x"),
        bearer(token_of("alice", secret="not-our-secret-but-long-enough-to-be")),
        bearer(token_of("alice", exp=1)),
    ):
        answer = ask(client, operation, headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("operation", [each for each in CLOSED if each.access is not Access.USER], ids=name)
def test_a_user_is_403_where_administrators_are_asked_for(operation: Operation) -> None:
    client = client_of(SmallRunner(None))
    for headers in (as_user("alice"), bearer(token_of("alice", user_metadata={"role": "admin"}))):
        answer = ask(client, operation, headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


def test_a_foreign_id_is_404_and_answers_as_one_that_never_was(http: TestClient) -> None:
    """I12: every route of a user, with an object of somebody else's; nothing of it changes either."""
    told_apart, changed = [], []
    for operation in OPERATIONS:
        if operation.access is not Access.USER or not operation.path_fields:
            continue
        owner = f"owner of {name(operation)}"
        foreign = make(operation, http, owner)
        before = http.get("/api/strategies", headers=as_user(owner)).json()
        if streams(operation):
            if begin(http, path_to(operation, foreign), as_user("mallory"))[0] != 404:
                told_apart.append((name(operation), "begins", "404"))
            continue
        theirs, nobodys = (ask(http, operation, as_user("mallory"), each) for each in (foreign, UNKNOWN))
        if theirs.status_code != 404 or without_id(theirs) != without_id(nobodys):
            told_apart.append((name(operation), theirs.text, nobodys.text))
        after = http.get("/api/strategies", headers=as_user(owner)).json()
        if before["strategies"] != after["strategies"]:
            changed.append(name(operation))
    assert (told_apart, changed) == ([], [])


def test_the_owner_of_the_same_ids_is_not_told_404(http: TestClient) -> None:
    """Without this the test above would pass for paths that do not exist."""
    lost = []
    for operation in OPERATIONS:
        if operation.access is not Access.USER or not operation.path_fields:
            continue
        owner = f"owner of {name(operation)}"
        id_ = make(operation, http, owner)
        if streams(operation):
            status, _ = begin(http, path_to(operation, id_), as_user(owner))
        else:
            status = ask(http, operation, as_user(owner), id_).status_code
        if status in (400, 401, 403, 404):
            lost.append(name(operation))
    assert lost == []


def test_what_is_no_id_is_never_a_5xx(http: TestClient) -> None:
    failed = [
        (name(operation), id_)
        for operation in CLOSED
        for id_ in ("x", "%00", "%ff", "..%2f..", "é" * 200, UNKNOWN.upper(), "{" + UNKNOWN + "}")
        if operation.path_fields and not streams(operation)
        if ask(http, operation, ADMIN, id_).status_code >= 500
    ]
    assert failed == []


def test_what_was_made_before_a_crash_is_met_again_by_every_route_that_makes(
    http: TestClient, store: PgStore
) -> None:
    """I2 for requests: an effect whose answer was lost is not carried out twice."""
    dying = client_of(
        RunnerWithKeys(store, Dying(store.database, busy_s=0)),
        keys=http.app.state.services.keys,  # type: ignore[attr-defined]
    )
    twice = []
    for operation in OPERATIONS:
        if operation.method == "POST" and operation.status in (201, 202) and operation in CLOSED:
            user = f"maker by {name(operation)}"
            id_ = make(operation, http, user) if operation.path_fields else UNKNOWN
            headers = as_user(user) | {"Idempotency-Key": "the-same-key"}
            first, again = (ask(client, operation, headers, id_) for client in (dying, http))
            same = {key: value for key, value in first.json().items() if key != "requestId"}
            if first.status_code != operation.status or again.status_code != operation.status:
                twice.append((name(operation), first.text, again.text))
            elif ids_of(again.json()) != ids_of(same):
                twice.append((name(operation), ids_of(same), ids_of(again.json())))
    assert twice == []


def ids_of(value: Any, field: str = "") -> set[tuple[str, str]]:
    """Every id an answer names."""
    if isinstance(value, dict):
        return {found for key, each in value.items() if key != "requestId" for found in ids_of(each, key)}
    if isinstance(value, list):
        return {found for each in value for found in ids_of(each, field)}
    return {(field, value)} if isinstance(value, str) and field.lower().endswith("id") else set()


def without_id(answer: Any) -> tuple[int, Any, Any]:
    headers = {key: value for key, value in answer.headers.items() if key != "x-request-id"}
    return answer.status_code, answer.json() | {"requestId": ""}, headers
