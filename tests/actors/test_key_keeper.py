"""A process keeps its sealed keys in step with their rows, and finds a right that appeared within a day."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from uuid import UUID, uuid5

import msgspec
import psycopg
import pytest

from actors.key_keeper import KeysChanged
from actors.key_ring import KeyRing
from actors.keys import Keys
from actors.launch import key_keeper
from actors.market_clock import MarketClock
from actors.runtime.process_time import process_s
from actors.runtime.system import ActorSystem
from core.ids import AccountId, UserId
from core.run import Run, RunStatus
from exchanges.errors import ErrorKind
from schema.notify import PgNotifier
from schema.pg import PgStore
from schema.vault import VaultError
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database
from tests.schema.pg_world import make_run, open_store
from tests.schema.test_connections import ANN, NEW, stored
from tests.schema.test_vault import KEY, SECRET, master, vault_of
from tests.venue_keys import VenueKeys

__all__ = ["admin", "copies", "database", "database_url", "template_database"]

WAIT_S = 20.0


class Process:
    """One process's keeper over a real database; `hears` tells it of hints, as `Service` does."""

    def __init__(self, database: Database, store: PgStore) -> None:
        self.store = store
        self.vault = vault_of(master("m1", 1))
        self.venue = VenueKeys()
        self.venue.knows(KEY, f"{SECRET}-0")
        self.ring = KeyRing(store.connections, self.vault)
        self._hearing = threading.Event()
        self.notifier = PgNotifier(database.service_dsn)
        self._keys = Keys(store, store.connections, self.vault, self.venue)
        self.system = ActorSystem.live(MarketClock(store.clock(), process_s), db_workers=2)

    def start(self) -> None:
        self.system.start([key_keeper(self._keys, self.ring)])
        self.notifier.listen(["connections"], self._heard)
        eventually(self._hears)

    def stop(self) -> None:
        self.notifier.close()
        assert self.system.stop()

    def _hears(self) -> bool:
        self.notifier.notify("connections", "")
        return self._hearing.wait(0.05)

    def _heard(self, channel: str, payload: str) -> None:
        self._hearing.set()
        self.system.ref("keys").tell(KeysChanged(account_id=AccountId(UUID(payload)) if payload else None))

    def live_run(self) -> Run:
        """An active run on a connection whose rights were last read two days ago."""
        connection = self.store.connections.add(NEW, stored(self.vault, ANN))
        paper = make_run(self.store, "ann")
        run = msgspec.structs.replace(paper, id=uuid5(UUID(int=0), "live"), account_id=connection.id)
        self.store.create_run(run)
        return run


@pytest.fixture
def process(database: Database) -> Iterator[Process]:
    store = open_store(database.service_dsn)
    made = Process(database, store)
    yield made
    made.stop()
    store.close()


def age_rights(database: Database) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute(
            "UPDATE connection_keys SET rights_at = rights_at - interval '23 hours 1 minute',"
            " last_test_at = last_test_at - interval '1 day'"
        )


def eventually(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    tick = threading.Event()
    while not holds():
        assert time.monotonic() < deadline_s
        tick.wait(0.01)


def status_of(process: Process, run: Run) -> RunStatus:
    found = process.store.run(run.id)
    assert found is not None
    return found.status


@pytest.mark.parametrize(
    ("rights", "status"),
    [
        ({"may_withdraw": True}, RunStatus.STOPPED),
        ({"may_trade": False}, RunStatus.PAUSED),
        ({"ip_bound": False}, RunStatus.ACTIVE),
    ],
)
def test_i19_a_right_that_appeared_is_found_within_a_day_and_its_owner_told(
    process: Process, database: Database, rights: dict[str, bool], status: RunStatus
) -> None:
    run = process.live_run()
    process.venue.knows(KEY, f"{SECRET}-0", **rights)
    age_rights(database)
    process.start()
    assert run.account_id is not None
    account_id = run.account_id

    def read() -> bool:
        found = process.store.connections.get(account_id)
        return found is not None and found.rights == process.venue.rights[KEY, f"{SECRET}-0"]

    eventually(read)
    eventually(lambda: status_of(process, run) is status)
    if status is not RunStatus.ACTIVE:
        told = process.store.events(user_id=UserId("ann"), newest=True, limit=1)[0]
        assert (told.type, told.payload["status"]) == ("run.status", status)


def test_rights_read_lately_are_not_asked_for_again(process: Process, database: Database) -> None:
    process.live_run()
    process.start()
    age_rights(database)
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("UPDATE connection_keys SET rights_at = rights_at + interval '2 minutes'")
    process.system.ref("keys").ask(KeysChanged(account_id=None), timeout=WAIT_S)
    assert process.venue.asked == []


def test_a_venue_that_is_away_stops_nothing(process: Process, database: Database) -> None:
    run = process.live_run()
    process.venue.trouble = ErrorKind.CONNECTION
    age_rights(database)
    process.start()
    assert run.account_id is not None
    account_id = run.account_id

    def tested() -> bool:
        found = process.store.connections.get(account_id)
        return found is not None and found.last_test_result == "connection"

    eventually(tested)
    assert status_of(process, run) is RunStatus.ACTIVE


def test_keys_replaced_or_removed_elsewhere_are_followed(process: Process) -> None:
    connection = process.store.connections.add(NEW, stored(process.vault, ANN))
    process.start()
    unseal = process.ring.hold(connection.id)
    assert unseal().key.reveal() == KEY
    process.store.connections.replace_keys(stored(process.vault, ANN, key="another-key-9876"))
    eventually(lambda: unseal().key.reveal() == "another-key-9876")
    assert process.store.connections.remove(ANN, connection.id)

    def gone() -> bool:
        try:
            unseal()
        except VaultError:
            return True
        return False

    eventually(gone)
