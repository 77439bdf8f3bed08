"""A connection's whole life at DEBUG leaves no trace of its keys anywhere (I13)."""

from __future__ import annotations

import copy
import pickle
from uuid import UUID

import msgspec
import psycopg
import pytest

from actors.key_ring import KeyRing
from actors.keys import Keys
from bin.logging_setup import log_error
from core.connection import Environment, Venue
from core.ids import AccountId
from core.key_rights import KeyRights
from core.redact import redact
from exchanges.credentials import Unseal
from exchanges.errors import ErrorKind
from facade.limits import Attempts
from schema.pg import PgStore
from schema.vault import VaultError
from tests.canaries import KEYS, SECRETS, scan_all
from tests.facade.life import Life, say_all, structured_logs
from tests.facade.world import SmallRunner, client_of
from tests.schema.conftest import Database
from tests.schema.test_vault import master, vault_of
from tests.venue_keys import VenueKeys

__all__ = ["structured_logs"]


class Careless(VenueKeys):
    """Has a bug besides, whose frame holds a key in the clear."""

    bug = False

    async def __call__(self, venue: Venue, environment: Environment, unseal: Unseal) -> KeyRights:
        if self.bug:
            in_the_clear = unseal().secret.reveal()
            raise ZeroDivisionError(len(in_the_clear) and "a bug")
        return await super().__call__(venue, environment, unseal)


def body_of(number: int, **more: object) -> dict[str, object]:
    return {"name": "main", "venue": "bybit", "apiKey": KEYS[number], "apiSecret": SECRETS[number], **more}


def test_i13_a_connections_whole_life_at_debug_leaves_no_trace_of_its_keys(
    store: PgStore,
    runner: SmallRunner,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    structured_logs: None,
) -> None:
    say_all(caplog)
    vault, venue = vault_of(master("m1", 1)), Careless()
    for number in (0, 4, 5):
        venue.knows(KEYS[number], SECRETS[number])
    venue.knows(KEYS[1], SECRETS[1], may_withdraw=True)
    access: list[object] = []
    with client_of(
        runner,
        keys=Keys(store, store.connections, vault, venue),
        error_log=log_error,
        access_log=access.append,
        key_checks=Attempts(100),  # a whole life of keys within seconds
    ) as http:
        life = Life(http)
        _come(life, venue)
        connection = life.ask("GET", "", 200)["connections"][0]  # type: ignore[index]
        path, account_id = f"/{connection['id']}", AccountId(UUID(connection["id"]))
        life.note_dump(database.owner_dsn)
        _be_used(life, KeyRing(store.connections, vault), store, account_id, database)
        _change(life, venue, path)
        life.note_dump(database.owner_dsn)
        Keys(store, store.connections, vault_of(master("m2", 2), master("m1", 1), seed=9), venue).rewrap(
            print
        )
        life.ask("DELETE", path, 200)
        life.note_dump(database.owner_dsn)
    life.said += [("event", str(msgspec.json.encode(each))) for each in store.events(limit=200)]
    life.said += [("access log", repr(access)), ("log", caplog.text)]
    life.said += [(f"log of {each.name}", repr(each.__dict__)) for each in caplog.records]
    out, err = capfd.readouterr()
    life.said += [("stdout", out), ("stderr", err)]
    assert "ZeroDivisionError" in err  # the log was listened to
    assert "table connection_keys" in dict(life.said)
    assert scan_all(life.said) == []


def _come(life: Life, venue: Careless) -> None:
    """Taken, refused for a right, unknown to the venue, unanswered, unreadable, and into a bug."""
    life.ask("POST", "", 201, json=body_of(0))
    assert life.ask("POST", "", 422, json=body_of(1))["code"] == "KEY_MAY_WITHDRAW"
    assert life.ask("POST", "", 422, json=body_of(2))["code"] == "AUTH"
    for kind in (ErrorKind.CONNECTION, ErrorKind.TIMEOUT, ErrorKind.UNPARSABLE, ErrorKind.BUSY):
        venue.trouble = kind
        life.ask("POST", "", 503, json=body_of(3))
    venue.trouble = ErrorKind.REJECTED
    life.ask("POST", "", 422, json=body_of(3))
    venue.trouble = None
    for wrong in ({"apiSecret": [SECRETS[5]]}, {"apiSecret": SECRETS[5] * 9}, {"apiKey": {"id": KEYS[5]}}):
        life.ask("POST", "", 400, json=body_of(5, **wrong))
    life.ask("POST", "", 400, content=f'{{"apiKey": "{KEYS[4]}", "apiSecret": "{SECRETS[4]}')
    venue.bug = True
    life.ask("POST", "", 500, json=body_of(2))
    venue.bug = False


def _be_used(life: Life, ring: KeyRing, store: PgStore, account_id: AccountId, database: Database) -> None:
    """Opened for a call, printed, copied, pickled by mistake; and not opened where it has been tampered with."""
    unseal = ring.hold(account_id)
    credentials = unseal()
    assert (credentials.key.reveal(), credentials.secret.reveal()) == (KEYS[0], SECRETS[0])
    life.said += [
        ("repr", f"{credentials!r} {credentials} {ring!r} {unseal!r} {redact({'a': [credentials.key]})}")
    ]
    for careless in (pickle.dumps, msgspec.json.encode, msgspec.msgpack.encode, copy.deepcopy):
        with pytest.raises(TypeError) as refused:
            careless(credentials)  # type: ignore[operator]
        life.said.append((careless.__name__, str(refused.value)))
    with psycopg.connect(database.owner_dsn) as connection:
        was = connection.execute(
            "UPDATE connection_keys SET sealed_secret = sealed_key RETURNING 1"
        ).fetchall()
        assert was == [(1,)]
    ring.refresh()
    with pytest.raises(VaultError) as tampered:
        unseal()
    life.note_error(tampered.value)


def _change(life: Life, venue: Careless, path: str) -> None:
    """Tests that fail, a rotation that is refused, one that is not, and a key that may withdraw by then."""
    assert life.ask("POST", f"{path}/test", 200)["result"] == "sealed"
    life.ask("POST", f"{path}/rotate", 422, json={"apiKey": KEYS[1], "apiSecret": SECRETS[1]})
    life.ask("POST", f"{path}/rotate", 200, json={"apiKey": KEYS[4], "apiSecret": SECRETS[4]})
    for kind in (ErrorKind.REJECTED, ErrorKind.CONNECTION):
        venue.trouble = kind
        life.ask("POST", f"{path}/test", 200)
    venue.trouble = None
    venue.knows(KEYS[4], SECRETS[4], may_withdraw=True)
    assert life.ask("POST", f"{path}/test", 200)["result"] == "key_may_withdraw"
    life.ask("PUT", f"{path}/kill-switch", 200, json={"on": True, "reason": "test"})
    life.ask("POST", f"{path}/rotate", 200, json={"apiKey": KEYS[5], "apiSecret": SECRETS[5]})
