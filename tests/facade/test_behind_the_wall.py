"""Row-level security as requests meet it, for every route there is: made from INTERFACE."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from actors.keys import Keys
from core.risk import RiskLimits
from facade.access import Access
from facade.operation import Operation
from schema.pg import PgStore
from tests.facade.owned import UNKNOWN, make, path_to
from tests.facade.test_every_route import OPERATIONS, ask, begin, name, streams
from tests.facade.traced import Statement, traced
from tests.facade.world import START, WORKER, SmallRunner, as_user, client_of, make_settings
from tests.schema.conftest import Database
from tests.schema.test_vault import master, vault_of
from tests.venue_keys import VenueKeys

OF_USERS = [each for each in OPERATIONS if each.access is Access.USER]
FOR_EVERYBODY = {
    "subscribers": "how many users run a strategy",
    "marketplace_page": "a public record is of everybody's runs",
    "records_of": "likewise",
    "evaluations_of": "strategies of the same content share an evaluation, whoever's they are",
    "evaluations_page": "orders that all runs made of its author's strategy; it asks whose that is",
    "answers_differently": "subscribers are held to what an author is told",
    "idempotency_forget_old": "keys of users who never come again go too",
    "events_horizon": "one poll of the event log serves all streams, and hands each reader its own",
    "events_newest": "likewise",
    "events_after": "likewise",
    "offer_secret": "what keys are compared under is the installation's, and no row of a user's",
    "installation_secret": "likewise",
    "name_request": "says which request it is, and looks at no row",
}
"""Statements of a user's request that see all users' rows, and why; another one is a decision."""
OF_EVERY_SUBSCRIBER = {
    ("PATCH", "/api/strategies/{id}"): "strategy",
    ("PUT", "/api/strategies/{id}/settings"): "strategy",
    ("DELETE", "/api/strategies/{id}"): "strategy",
    ("POST", "/api/strategies/{id}/signals"): "lock_external_strategy",
}
"""An owner changes a strategy, or sends it a signal, and the runs of all who subscribed follow: that transaction is
everybody's, and asks first, by this statement, whose the strategy is.
"""


@pytest.fixture
def narrow(database: Database) -> Iterator[PgStore]:
    """A store with one connection."""
    store = PgStore(database.service_dsn, default_limits=RiskLimits(), worker=WORKER, pool_size=1)
    store.mark_demo(start=START, rate=1.0)
    store.set_clock(at=START, ceiling=START)
    yield store
    store.close()


@pytest.fixture
def http(narrow: PgStore) -> Iterator[TestClient]:
    venue = VenueKeys(takes_any=True)
    keys = Keys(narrow, narrow.connections, vault_of(master("m1", 1)), venue)
    with client_of(SmallRunner(narrow), make_settings(), keys=keys) as opened:
        yield opened


def test_every_statement_of_a_users_request_is_behind_the_wall(http: TestClient, narrow: PgStore) -> None:
    """I12: so a query that forgets its WHERE, of whatever reader or writer, meets no row of another user."""
    outside: dict[str, set[str]] = {}
    for operation in OF_USERS:
        user = f"user of {name(operation)}"
        id_ = make(operation, http, user) if operation.path_fields else UNKNOWN
        key = {"Idempotency-Key": "a-key-of-this-user"} if operation.idempotent else {}
        with traced(narrow) as seen:
            if streams(operation):
                begin(http, path_to(operation, id_), as_user(user))
            else:
                ask(http, operation, as_user(user) | key, id_)
        assert seen or not operation.path_fields, f"{name(operation)} has asked the database nothing"
        first = OF_EVERY_SUBSCRIBER.get((operation.method, operation.path))
        if first is not None:
            seen = seen[: [each.name for each in seen].index(first)]
            assert seen, "nobody has looked up behind the wall whose it is"
        bare = {each.name for each in seen if not each.behind_the_wall} - FOR_EVERYBODY.keys()
        if bare:
            outside[name(operation)] = bare
    assert outside == {}


def test_a_foreign_id_costs_the_database_what_one_that_never_was_does(
    http: TestClient, narrow: PgStore
) -> None:
    """I12, the timing of a 404: the same statements in the same order, each finding as many rows."""
    apart = []
    for operation in OF_USERS:
        if operation.path_fields:
            foreign = make(operation, http, f"owner of {name(operation)}")
            asked = [cost(http, narrow, operation, each) for each in (UNKNOWN, foreign, UNKNOWN)]
            if asked[1] not in (asked[0], asked[2]) or not asked[1]:
                apart.append((name(operation), asked[1], asked[2]))
    assert apart == []


def cost(http: TestClient, store: PgStore, operation: Operation, id_: str) -> list[Statement]:
    headers = as_user("mallory")
    with traced(store) as seen:
        if streams(operation):
            assert begin(http, path_to(operation, id_), headers)[0] == 404
        else:
            assert ask(http, operation, headers, id_).status_code == 404
    return seen
