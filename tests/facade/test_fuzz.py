"""Requests made of the interface's own description: no 5xx, answers as described, nothing without the right to it.

The short form is a test. The long one, for each kind of caller:

    RUNNER_FUZZ_EXAMPLES=10000 .venv/bin/python -m pytest -o faulthandler_timeout=0 tests/facade/test_fuzz.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from typing import Any, Final

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from actors.keys import Keys
from facade.access import CRON_HEADER, Access
from facade.app import INTERFACE
from facade.operation import Operation
from schema.pg import PgStore
from tests.facade.owned import MADE_BY
from tests.facade.world import ADMIN, SmallRunner, as_user, client_of, make_settings
from tests.schema.conftest import Database
from tests.schema.test_vault import master, vault_of
from tests.venue_keys import VenueKeys

EXAMPLES: Final = int(os.environ.get("RUNNER_FUZZ_EXAMPLES", "0"))
"""For each kind of caller; 0: FEW a route."""
FEW: Final = 3
UNBOUNDED: Final = "1000000"
OPERATIONS: Final = [each.operation for each in INTERFACE if each.operation.produces != "text/event-stream"]
CALLERS: Final[dict[str, dict[str, str]]] = {
    "none": {},
    "user": as_user("ann"),
    "admin": ADMIN,
    "cron": {CRON_HEADER: "the-cron-secret-of-the-tests"},
}
ALLOWED: Final = {
    "none": {Access.ANYONE, Access.ALERT_KEY},
    "user": {Access.ANYONE, Access.ALERT_KEY, Access.USER},
    "admin": set(Access),
    "cron": {Access.ANYONE, Access.ALERT_KEY, Access.CRON},
}
"""Who may come as far as the body: of an alert it has the key in it, which nobody guesses."""
AWAY: Final = {"VENUE_UNAVAILABLE", "CONVERTER_NOT_CONFIGURED", "SANDBOX_UNAVAILABLE"}
"""What does not stand behind the application here, and is said with 503."""
OF_CALLERS: Final = ("authorization", "cookie", CRON_HEADER)
CHECKS: Final = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    status_code_conformance,
]


class World:
    """The application over a database in which ann and bob own one thing of every kind."""

    def __init__(self, client: TestClient, database: Database) -> None:
        self.client = client
        self.ids = [make(client, user) for user in ("ann", "bob") for make in MADE_BY.values()]
        self.described = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        self._dsn = database.owner_dsn

    def rows_of(self, user: str | None) -> dict[str, list[Any]]:
        """All that the database holds of this user, or of everybody."""
        with psycopg.connect(self._dsn, connect_timeout=5) as connection:
            tables = connection.execute(
                "SELECT c.table_name::text FROM information_schema.columns c"
                " JOIN information_schema.tables t USING (table_schema, table_name)"
                " WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.column_name = 'user_id'"
            ).fetchall()
            query = sql.SQL("SELECT t::text FROM {} t WHERE {} OR user_id = %s ORDER BY 1")
            return {
                name: connection.execute(
                    query.format(sql.Identifier(name), sql.Literal(user is None)), [user]
                ).fetchall()
                for (name,) in tables
            }


@pytest.fixture
def world(runner: SmallRunner, store: PgStore, database: Database) -> Iterator[World]:
    venue = VenueKeys(takes_any=True)
    settings = make_settings(
        ENABLE_RUNNER_ADMIN_ENDPOINTS="true",
        RUNNER_CRON_SECRET=CALLERS["cron"][CRON_HEADER],
        RUNNER_RATE_LIMIT_USER="0",
        RUNNER_RATE_LIMIT_ADDRESS="0",
    )
    keys = Keys(store, store.connections, vault_of(master("m1", 1)), venue)
    with client_of(runner, settings, keys=keys, address="192.0.2.7") as client:
        yield World(client, database)


@pytest.mark.parametrize("caller", CALLERS)
def test_no_request_breaks_the_description_or_reaches_what_is_not_the_callers(
    world: World, caller: str
) -> None:
    """I12. An administrator may reach everybody's."""
    watched = {"none": None, "cron": None, "user": "bob"}
    before = world.rows_of(watched[caller]) if caller in watched else None
    failures = []
    for operation in OPERATIONS:
        try:
            _fuzz(world, operation, caller, ceil(EXAMPLES / len(OPERATIONS)) or FEW)
        except Exception as error:
            failures.append(f"{operation.method} {operation.path}: {error}")
    assert not failures, "\n\n".join(failures)
    if before is not None:
        after = world.rows_of(watched[caller])
        assert {name for name in before if before[name] != after[name]} == set()


def _fuzz(world: World, operation: Operation, caller: str, examples: int) -> None:
    described = world.described[operation.path][operation.method]
    made = st.one_of(
        described.as_strategy(generation_mode=GenerationMode.POSITIVE),
        described.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @settings(
        max_examples=examples,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate] if not EXAMPLES else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=made, id_=st.none() | st.sampled_from(world.ids))
    def requests(case: Any, id_: str | None) -> None:
        if id_ is not None and case.path_parameters:
            case.path_parameters = dict.fromkeys(case.path_parameters, id_)
        sent = case.as_transport_kwargs(base_url=str(world.client.base_url))
        others = {key: value for key, value in sent["headers"].items() if key.lower() not in OF_CALLERS}
        sent["headers"] = others | CALLERS[caller]
        given = {key: sent[key] for key in ("method", "url", "headers", "params") if key in sent}
        answer = world.client.request(**given, content=sent.get("data"), json=sent.get("json"))
        away = answer.status_code == 503 and answer.json().get("code") in AWAY
        case.validate_response(answer, checks=CHECKS[1:] if away else CHECKS)
        if operation.access not in ALLOWED[caller]:
            assert answer.status_code in (401, 403, 404), answer.text

    requests()
