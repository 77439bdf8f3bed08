"""Connections over HTTP: keys come in once, are tested before they are kept, and never go out."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from starlette.testclient import TestClient

from actors.key_probe import keys_of
from actors.keys import Keys
from core.connection import Environment, Venue
from core.ids import AccountId, UserId
from core.leverage import LeverageTier
from core.run import RunCommand, RunStatus
from exchanges.credentials import Unseal
from exchanges.errors import ErrorKind, Unreachable
from exchanges.venues import Address
from facade.limits import KEY_CHECKS_PER_WINDOW, WINDOW_S, Attempts
from schema.pg import PgStore
from schema.records import Account, AccountKind
from tests.exchanges.simulator.running import running
from tests.facade.world import SmallRunner, as_user, client_of, go_live
from tests.schema.conftest import Database
from tests.schema.test_vault import master, shown, vault_of
from tests.venue_keys import VenueKeys

KEY, SECRET = "a-key-id-of-the-tests-wxyz", "a-secret-of-the-tests-0001"
BODY = {"name": "main", "venue": "binance", "apiKey": KEY, "apiSecret": SECRET}
ANN, BOB = as_user("ann"), as_user("bob")
VAULT = vault_of(master("m1", 1))


@pytest.fixture
def venue() -> VenueKeys:
    known = VenueKeys()
    known.knows(KEY, SECRET)
    return known


@pytest.fixture
def http(runner: SmallRunner, store: PgStore, venue: VenueKeys) -> Iterator[TestClient]:
    with client_of(runner, keys=Keys(store, store.connections, VAULT, venue)) as opened:
        yield opened


def added(http: TestClient, **more: Any) -> Any:
    answer = http.post("/api/connections", json=BODY | more, headers=ANN)
    assert answer.status_code == 201, answer.text
    return answer.json()["connection"]


def test_a_connection_is_shown_without_its_keys_and_not_cached(http: TestClient, store: PgStore) -> None:
    connection = added(http)
    assert connection["keyHint"] == "wxyz"
    assert (connection["venue"], connection["environment"]) == ("binance", "live")
    assert connection["lastTestResult"] == "ok"
    assert connection["rights"] == {"mayRead": True, "mayTrade": True, "mayWithdraw": False, "ipBound": True}
    assert connection["notices"] == []
    one = http.get(f"/api/connections/{connection['id']}", headers=ANN)
    every = http.get("/api/connections", headers=ANN)
    assert one.json()["connection"] == connection
    assert every.json()["connections"] == [connection]
    for answer in (one, every):
        assert answer.headers["Cache-Control"] == "no-store"
        assert KEY[:12] not in answer.text
        assert SECRET not in answer.text
    (sealed,) = store.connections.sealed([AccountId(UUID(connection["id"]))])
    assert shown(VAULT.open(sealed)) == (KEY, SECRET)


@pytest.mark.parametrize(
    ("rights", "code"),
    [
        ({"may_withdraw": True}, "KEY_MAY_WITHDRAW"),
        ({"may_trade": False}, "KEY_MAY_NOT_TRADE"),
        ({"may_read": False}, "KEY_MAY_NOT_READ"),
    ],
)
def test_i19_a_key_with_the_wrong_rights_is_refused_by_name_and_not_kept(
    http: TestClient, store: PgStore, venue: VenueKeys, rights: dict[str, bool], code: str
) -> None:
    good = added(http)
    venue.knows("a-key-that-may-otherwise", SECRET, **rights)
    wrong = {"apiKey": "a-key-that-may-otherwise", "apiSecret": SECRET}
    refusals = [
        http.post("/api/connections", json=BODY | wrong, headers=ANN),
        http.post(f"/api/connections/{good['id']}/rotate", json=wrong, headers=ANN),
    ]
    for refusal in refusals:
        assert refusal.status_code == 422
        assert refusal.json()["code"] == code
        assert refusal.json()["details"][0]["field"] == "apiKey"
    assert [each.key_hint for each in store.connections.of_user(UserId("ann"))] == ["wxyz"]


@pytest.mark.parametrize(("bound", "code"), [(False, "key_not_ip_bound"), (None, "key_ip_binding_unknown")])
def test_a_key_for_any_address_is_taken_with_a_warning(
    http: TestClient, venue: VenueKeys, bound: bool | None, code: str
) -> None:
    venue.knows(KEY, SECRET, ip_bound=bound)
    assert [notice["code"] for notice in added(http)["notices"]] == [code]


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (ErrorKind.CONNECTION, 503, "VENUE_UNAVAILABLE"),
        (ErrorKind.RATE_LIMIT, 503, "VENUE_UNAVAILABLE"),
        (ErrorKind.UNPARSABLE, 503, "VENUE_UNAVAILABLE"),
        (ErrorKind.REJECTED, 422, "REJECTED"),
    ],
)
def test_i18_i19_a_key_whose_rights_are_not_known_is_not_kept(
    http: TestClient, store: PgStore, venue: VenueKeys, trouble: ErrorKind, status: int, code: str
) -> None:
    venue.trouble = trouble
    refusal = http.post("/api/connections", json=BODY, headers=ANN)
    assert (refusal.status_code, refusal.json()["code"]) == (status, code)
    assert SECRET not in refusal.text
    assert store.connections.of_all() == []


def test_a_key_the_venue_does_not_know_is_refused_without_quoting_it(http: TestClient) -> None:
    refusal = http.post("/api/connections", json=BODY | {"apiSecret": "another-secret"}, headers=ANN)
    assert (refusal.status_code, refusal.json()["code"]) == (422, "AUTH")
    assert KEY not in refusal.text
    assert "another-secret" not in refusal.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"apiKey": "short"}, "apiKey"),
        ({"apiKey": "with a space in it"}, "apiKey"),
        ({"apiSecret": "line\nbreak-in-it"}, "apiSecret"),
        ({"apiSecret": 12345678901234567890}, "apiSecret"),
        ({"apiSecret": "s" * 257}, "apiSecret"),
        ({"venue": "kraken"}, "venue"),
        ({"environment": "moon"}, "environment"),
        ({"name": ""}, "name"),
        ({"maxLeverage": 126}, "maxLeverage"),
        ({"maxLeverage": 11}, "maxLeverage"),
        ({"passphrase": "x"}, "passphrase"),
    ],
)
def test_bad_input_is_named_by_its_field_and_asks_no_venue(
    http: TestClient, venue: VenueKeys, change: dict[str, object], field: str
) -> None:
    refusal = http.post("/api/connections", json=BODY | change, headers=ANN)
    assert refusal.status_code == 400, refusal.text
    assert refusal.json()["details"][0]["field"] == field
    assert venue.asked == []
    for name in ("apiKey", "apiSecret"):
        assert name not in change or str(change[name]) not in refusal.text


def test_i12_what_is_somebody_elses_is_not_there(http: TestClient, venue: VenueKeys) -> None:
    own = added(http)["id"]
    asked = len(venue.asked)
    assert http.get("/api/connections", headers=BOB).json()["connections"] == []
    for path in (own, str(uuid4()), "no-id"):
        answers = [
            http.get(f"/api/connections/{path}", headers=BOB),
            http.patch(f"/api/connections/{path}", json={"name": "mine"}, headers=BOB),
            http.delete(f"/api/connections/{path}", headers=BOB),
            http.post(f"/api/connections/{path}/test", headers=BOB),
            http.put(f"/api/connections/{path}/kill-switch", json={"on": True}, headers=BOB),
            http.post(
                f"/api/connections/{path}/rotate", json={"apiKey": KEY, "apiSecret": SECRET}, headers=BOB
            ),
        ]
        assert [answer.status_code for answer in answers] == [404] * 6
    assert len(venue.asked) == asked
    assert http.get(f"/api/connections/{own}", headers=ANN).json()["connection"]["killSwitch"] is False


def test_a_connection_lives_through_rename_switch_rotation_and_removal(
    http: TestClient, store: PgStore, venue: VenueKeys, runner: SmallRunner
) -> None:
    path = f"/api/connections/{added(http)['id']}"
    assert http.patch(path, json={"name": "second"}, headers=ANN).json()["connection"]["name"] == "second"
    switched = http.put(f"{path}/kill-switch", json={"on": True, "reason": "test"}, headers=ANN)
    assert switched.json()["connection"]["killSwitch"] is True
    venue.knows("another-key-id-9876", "another-secret-9876")
    keys = {"apiKey": "another-key-id-9876", "apiSecret": "another-secret-9876"}
    assert http.post(f"{path}/rotate", json=keys, headers=ANN).json()["connection"]["keyHint"] == "9876"
    assert http.post(f"{path}/test", headers=ANN).json()["result"] == "ok"
    hints = runner.hints
    assert http.delete(path, headers=ANN).status_code == 200
    assert runner.hints == hints + 1
    assert http.get(path, headers=ANN).status_code == 404
    assert store.connections.of_all() == []


def test_a_connection_a_run_uses_is_not_removed(http: TestClient) -> None:
    connection = added(http)["id"]
    go_live(http, "ann", exchange_connection_id=connection)
    refusal = http.delete(f"/api/connections/{connection}", headers=ANN)
    assert refusal.status_code == 409
    assert "a run uses this connection" in refusal.json()["error"].lower()


def test_i19_a_key_that_may_withdraw_by_now_stops_its_runs_and_the_owner_is_told(
    http: TestClient, store: PgStore, venue: VenueKeys
) -> None:
    connection = added(http)["id"]
    run_id = go_live(http, "ann", exchange_connection_id=connection)["runId"]
    store.command(run_id, RunCommand.START, by="ann")
    venue.knows(KEY, SECRET, may_withdraw=True)
    answer = http.post(f"/api/connections/{connection}/test", headers=ANN).json()
    assert answer["result"] == "key_may_withdraw"
    assert [notice["code"] for notice in answer["connection"]["notices"]] == ["key_may_withdraw"]
    run = store.run(run_id)
    assert run is not None
    assert run.status is RunStatus.STOPPED
    last = store.events(run_id=run_id, newest=True, limit=1)[0]
    assert last.type == "run.status"
    assert "key_may_withdraw" in str(last.payload["reason"])
    assert store.events(user_id=UserId("ann"), newest=True, limit=1) == [last]
    again = http.post(f"/api/runs/{run_id}/start", headers=ANN)
    assert (again.status_code, again.json()["code"]) == (422, "KEY_MAY_WITHDRAW")
    venue.knows(KEY, SECRET)
    assert http.post(f"/api/connections/{connection}/test", headers=ANN).json()["result"] == "ok"
    assert http.post(f"/api/runs/{run_id}/start", headers=ANN).status_code == 200


def test_a_run_on_a_connection_without_keys_does_not_begin(http: TestClient, store: PgStore) -> None:
    bare = Account(
        id=AccountId(uuid4()),
        user_id=UserId("ann"),
        name="bare",
        kind=AccountKind.CONNECTION,
        venue="binance",
    )
    store.create_account(bare)
    run_id = go_live(http, "ann", exchange_connection_id=str(bare.id))["runId"]
    refusal = http.post(f"/api/runs/{run_id}/start", headers=ANN)
    assert (refusal.status_code, refusal.json()["code"]) == (422, "CONNECTION_NOT_TESTED")


def test_a_run_whose_leverage_its_venue_does_not_carry_at_its_size_is_refused_with_the_tiers_figures(
    runner: SmallRunner, store: PgStore, venue: VenueKeys
) -> None:
    asked: list[str] = []
    tier = LeverageTier(up_to=Decimal(40_000), max_leverage=Decimal(4), maintenance_rate=None)
    answers: list[Any] = [Unreachable(ErrorKind.CONNECTION, "away"), [tier]]

    async def told(
        venue: Venue, environment: Environment, unseal: Unseal, symbol: str
    ) -> tuple[LeverageTier, ...]:
        asked.append(symbol)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return tuple(answer)

    with client_of(runner, keys=Keys(store, store.connections, VAULT, venue, tiers=told)) as http:
        more = {"exchange_connection_id": added(http)["id"], "leverage": 5, "initial_capital_usdt": 2_000}
        run_id = go_live(http, "ann", **more)["runId"]
        away = http.post(f"/api/runs/{run_id}/start", headers=ANN)
        assert away.status_code == 200, "the venue itself refuses it before an entry"
        store.command(run_id, RunCommand.STOP, by="ann")
        for _ in range(2):
            refusal = http.post(f"/api/runs/{run_id}/start", headers=ANN)
            assert (refusal.status_code, refusal.json()["code"]) == (422, "LEVERAGE_TOO_HIGH")
            assert "Binance does not carry" in refusal.text
            assert "a leverage of 5 is above the 4 it allows for positions up to 40,000 USDT" in refusal.text
        assert asked == ["BTCUSDT"] * 2, "what was told is kept for an hour"


@pytest.mark.parametrize("name", ["binance", "bybit"])
def test_the_tiers_a_start_is_held_to_are_the_venues_own(
    runner: SmallRunner, store: PgStore, name: str
) -> None:
    """Over real wires, with the stored key: eight million at leverage ten are beyond the last tier."""
    with running(name) as venue:
        there = {Venue(name): Address(rest=venue.base, ws=venue.ws, rights=venue.base)}
        keys = {"apiKey": venue.key, "apiSecret": venue.secret}
        with client_of(runner, keys=keys_of(store, VAULT, there)) as http:
            connection = added(http, venue=name, maxLeverage=10, **keys)["id"]
            for capital, status in ((8_000_000, 422), (2_000, 200)):
                more = {"exchange_connection_id": connection, "leverage": 10, "initial_capital_usdt": capital}
                run_id = go_live(http, "ann", **more)["runId"]
                answer = http.post(f"/api/runs/{run_id}/start", headers=ANN)
                assert answer.status_code == status, answer.text
                if status == 422:
                    assert "80,000,000 USDT is above the 70,000,000 USDT it allows at most" in answer.text
                    store.command(run_id, RunCommand.ARCHIVE, by="ann")


def test_a_venue_that_is_away_stops_nothing_and_leaves_the_rights_as_they_were(
    http: TestClient, store: PgStore, venue: VenueKeys
) -> None:
    connection = added(http)
    run_id = go_live(http, "ann", exchange_connection_id=connection["id"])["runId"]
    store.command(run_id, RunCommand.START, by="ann")
    venue.trouble = ErrorKind.CONNECTION
    answer = http.post(f"/api/connections/{connection['id']}/test", headers=ANN).json()
    assert answer["result"] == answer["connection"]["lastTestResult"] == "connection"
    assert answer["connection"]["rights"] == connection["rights"]
    run = store.run(run_id)
    assert run is not None
    assert run.status is RunStatus.ACTIVE


def test_keys_that_do_not_open_here_are_said_so(
    http: TestClient, runner: SmallRunner, store: PgStore, venue: VenueKeys
) -> None:
    connection = added(http)["id"]
    elsewhere = Keys(store, store.connections, vault_of(master("m9", 9)), venue)
    with client_of(runner, keys=elsewhere) as other:
        assert other.post(f"/api/connections/{connection}/test", headers=ANN).json()["result"] == "sealed"


def test_without_master_keys_there_are_no_connections(runner: SmallRunner) -> None:
    with client_of(runner) as plain:
        answer = plain.get("/api/connections", headers=ANN)
    assert (answer.status_code, answer.json()["code"]) == (503, "CONNECTIONS_NOT_CONFIGURED")


def test_a_user_has_only_so_many_keys_checked_at_venues_a_minute(
    runner: SmallRunner, store: PgStore, venue: VenueKeys
) -> None:
    """However they are asked about: added, rotated or tested. Others are not touched by it, and it passes."""
    now_s = 0.0
    checks = Attempts(KEY_CHECKS_PER_WINDOW, lambda: now_s)
    with client_of(runner, keys=Keys(store, store.connections, VAULT, venue), key_checks=checks) as http:
        path = f"/api/connections/{added(http)['id']}"
        rotated = http.post(f"{path}/rotate", json={"apiKey": KEY, "apiSecret": SECRET}, headers=ANN)
        assert rotated.status_code == 200
        now_s = 20.0
        tests = [http.post(f"{path}/test", headers=ANN).status_code for _ in range(KEY_CHECKS_PER_WINDOW - 2)]
        assert set(tests) == {200}
        asked = len(venue.asked)
        refused = [
            http.post(f"{path}/test", headers=ANN),
            http.post("/api/connections", json=BODY, headers=ANN),
            http.post(f"{path}/rotate", json={"apiKey": KEY, "apiSecret": SECRET}, headers=ANN),
        ]
        assert [(each.status_code, each.json()["code"]) for each in refused] == [
            (429, "TOO_MANY_REQUESTS")
        ] * 3
        assert {each.headers["Retry-After"] for each in refused} == {"40"}
        assert len(venue.asked) == asked
        venue.knows("the-key-of-bob-0001", SECRET)
        body = BODY | {"apiKey": "the-key-of-bob-0001"}
        assert http.post("/api/connections", json=body, headers=BOB).status_code == 201
        now_s = WINDOW_S
        assert http.post(f"{path}/test", headers=ANN).status_code == 200


def test_a_key_that_is_somebodys_connection_is_refused_to_everybody_in_the_same_words(
    http: TestClient, store: PgStore
) -> None:
    """Two runs on one account, each with books of its own, would each take the other's position for a stranger's."""
    first = added(http)
    refusals = []
    for who in (ANN, BOB):
        answer = http.post("/api/connections", json=BODY | {"name": "again"}, headers=who)
        assert answer.status_code == 409, answer.text
        said = answer.json()
        assert (said["code"], said["details"][0]["field"]) == ("KEY_IN_USE", "apiKey")
        assert KEY not in answer.text
        assert first["id"] not in answer.text
        refusals.append({**said, "requestId": None})
    assert refusals[0] == refusals[1]
    assert len(store.connections.of_all()) == 1
    assert http.delete(f"/api/connections/{first['id']}", headers=ANN).status_code == 200
    assert http.post("/api/connections", json=BODY, headers=BOB).status_code == 201


def test_i12_who_cannot_show_the_venue_key_and_secret_does_not_learn_that_the_key_is_here(
    http: TestClient,
) -> None:
    def refusal(**changed: str) -> Any:
        answer = http.post("/api/connections", json=BODY | changed, headers=BOB)
        assert answer.status_code == 422
        return {**answer.json(), "requestId": None}

    before = refusal(apiSecret="a-secret-that-is-wrong")
    added(http)
    assert refusal(apiSecret="a-secret-that-is-wrong") == before
    assert refusal(apiKey="a-key-nobody-has-0001") == before


def test_a_key_is_not_rotated_to_another_connections_key(http: TestClient, venue: VenueKeys) -> None:
    other_key = {"apiKey": "another-key-of-tests-0002", "apiSecret": "another-secret-0002"}
    venue.knows(*other_key.values())
    connection = added(http)
    http.post("/api/connections", json=BODY | other_key, headers=BOB)
    rotate = f"/api/connections/{connection['id']}/rotate"
    assert http.post(rotate, json=other_key, headers=ANN).json()["code"] == "KEY_IN_USE"
    same = {"apiKey": KEY, "apiSecret": SECRET}
    assert http.post(rotate, json=same, headers=ANN).status_code == 200


def test_a_key_is_known_after_the_master_keys_were_rotated(
    runner: SmallRunner, http: TestClient, store: PgStore, venue: VenueKeys
) -> None:
    added(http)
    both = Keys(store, store.connections, vault_of(master("m2", 2), master("m1", 1)), venue)
    assert both.rewrap(lambda so_far: None).unopened == ()
    new = Keys(store, store.connections, vault_of(master("m2", 2)), venue)
    with client_of(runner, keys=new) as after:
        refused = after.post("/api/connections", json=BODY | {"name": "again"}, headers=BOB)
    assert refused.json()["code"] == "KEY_IN_USE"


def test_of_two_connections_with_one_key_from_before_a_test_finds_one(
    http: TestClient, store: PgStore, database: Database
) -> None:
    """As a process of the version before stores them."""
    first = added(http)
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute("UPDATE connection_keys SET fingerprint = NULL")
    second = http.post("/api/connections", json=BODY, headers=BOB).json()["connection"]

    def tested(connection: Any, who: dict[str, str]) -> Any:
        return http.post(f"/api/connections/{connection['id']}/test", headers=who).json()["connection"]

    assert tested(first, ANN)["lastTestResult"] == "key_in_use"
    assert tested(second, BOB)["lastTestResult"] == "ok"
    assert http.delete(f"/api/connections/{second['id']}", headers=BOB).status_code == 200
    assert tested(first, ANN)["lastTestResult"] == "ok"
    assert http.post("/api/connections", json=BODY, headers=BOB).status_code == 409


def test_where_the_master_keys_are_lost_keys_are_taken_again_once_what_they_are_compared_under_is_forgotten(
    runner: SmallRunner, http: TestClient, store: PgStore, venue: VenueKeys, database: Database
) -> None:
    """As docs/operations.md tells its operator to; until then nothing is taken uncompared (I18)."""
    connection = added(http)
    told = Path("docs/operations.md").read_text()
    found = Keys(store, store.connections, vault_of(master("m9", 9)), venue)
    with client_of(runner, keys=found) as after:
        rotate = f"/api/connections/{connection['id']}/rotate"
        same = {"apiKey": KEY, "apiSecret": SECRET}
        refused = after.post(rotate, json=same, headers=ANN)
        assert (refused.status_code, refused.json()["code"]) == (422, "SEALED"), refused.text
        with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
            for forget in (
                "UPDATE connection_keys SET fingerprint = NULL",
                "DELETE FROM installation_secrets",
            ):
                assert f"{forget};" in told
                owner.execute(forget)
        assert after.post(rotate, json=same, headers=ANN).json()["connection"]["lastTestResult"] == "ok"
        assert after.post("/api/connections", json=BODY, headers=BOB).json()["code"] == "KEY_IN_USE"
