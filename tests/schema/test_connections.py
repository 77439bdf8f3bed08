"""Connections on PostgreSQL: each user's own, gone when removed, re-wrapped while they are in use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from uuid import UUID, uuid5

import msgspec
import psycopg
import pytest

from core.connection import Environment, Venue
from core.errors import Conflict
from core.ids import AccountId, UserId
from core.key_rights import KeyRights
from core.redact import Secret
from core.run import RunCommand, RunStatus
from schema.connections import MAX_CONNECTIONS, KeyInUse, NewConnection, Rewrapped, StoredKeys
from schema.pg import PgStore
from schema.vault import Owner, Vault, VaultError
from tests.schema.conftest import Database
from tests.schema.pg_world import make_run, open_store
from tests.schema.test_vault import KEY, SECRET, master, shown, vault_of

RIGHTS = KeyRights(may_read=True, may_trade=True, may_withdraw=False, ip_bound=True)
NEW = NewConnection(name="main", venue=Venue.BINANCE, environment=Environment.LIVE, max_leverage=5)
ANN, BOB = UserId("ann"), UserId("bob")
WAIT_S = 20.0


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = open_store(database.service_dsn)
    yield opened
    opened.close()


@pytest.fixture
def vault() -> Vault:
    return vault_of(master("m1", 1))


def stored(vault: Vault, user: UserId, number: int = 0, key: str = KEY) -> StoredKeys:
    account_id = AccountId(uuid5(UUID(int=0), f"{user}/{number}"))
    sealed = vault.seal(
        Owner(user_id=user, account_id=account_id), key=Secret(key), secret=Secret(f"{SECRET}-{number}")
    )
    return StoredKeys(sealed=sealed, key_hint=key[-4:], rights=RIGHTS)


def test_i13_what_was_stored_opens_again_and_the_row_shows_the_hint_alone(
    store: PgStore, vault: Vault
) -> None:
    keys = stored(vault, ANN)
    added = store.connections.add(NEW, keys)
    assert (added.name, added.venue, added.environment, added.key_hint) == (
        "main",
        "binance",
        "live",
        KEY[-4:],
    )
    assert (added.last_test_result, added.rights, added.kill_switch) == ("ok", RIGHTS, False)
    assert added.last_test_at is not None
    assert store.connections.of_user(ANN) == [added]
    (sealed,) = store.connections.sealed([added.id])
    assert sealed == keys.sealed
    assert shown(vault.open(sealed)) == (KEY, f"{SECRET}-0")
    account = store.account(added.id)
    assert account is not None
    assert (account.kind, account.balance) == ("connection", 0)


def test_i12_another_users_connection_is_none(store: PgStore, vault: Vault) -> None:
    added = store.connections.add(NEW, stored(vault, ANN))
    connections = store.connections
    assert connections.of_user(BOB) == []
    assert connections.one(BOB, added.id) is None
    assert connections.rename(BOB, added.id, "mine") is None
    assert connections.remove(BOB, added.id) is False
    forged = vault.seal(Owner(user_id=BOB, account_id=added.id), key=Secret("k"), secret=Secret("s"))
    assert connections.replace_keys(StoredKeys(sealed=forged, key_hint="k", rights=RIGHTS)) is None
    assert connections.of_all() == [added]


def test_i12_no_row_of_keys_names_another_user_than_its_account(store: PgStore, database: Database) -> None:
    vault = vault_of(master("m1", 1))
    added = store.connections.add(NEW, stored(vault, ANN))
    with (
        psycopg.connect(database.service_dsn) as connection,
        pytest.raises(psycopg.errors.ForeignKeyViolation),
    ):
        connection.execute("UPDATE connection_keys SET user_id = 'bob' WHERE account_id = %s", [added.id])
    portfolio = make_run(store, "ann").account_id
    with (
        psycopg.connect(database.service_dsn) as connection,
        pytest.raises(psycopg.errors.ForeignKeyViolation),
    ):
        connection.execute("UPDATE connection_keys SET account_id = %s", [portfolio])


def test_a_users_connections_are_bounded_whoever_adds_at_once(store: PgStore, vault: Vault) -> None:
    def add(number: int) -> bool:
        try:
            store.connections.add(NEW, stored(vault, ANN, number))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(add, range(MAX_CONNECTIONS + 3)))
    assert added.count(True) == MAX_CONNECTIONS == len(store.connections.of_user(ANN))


def test_new_keys_replace_the_old_ones_and_a_late_test_of_those_says_nothing(
    store: PgStore, vault: Vault
) -> None:
    first = store.connections.add(NEW, stored(vault, ANN))
    second = store.connections.replace_keys(stored(vault, ANN, key="another-key-9876"))
    assert second is not None
    assert (second.id, second.key_hint, second.name) == (first.id, "9876", "main")
    store.connections.save_test(first.id, first.data_key_id, "auth", None)
    assert store.connections.get(first.id) == second
    store.connections.save_test(first.id, second.data_key_id, "auth", None)
    tested = store.connections.get(first.id)
    assert tested is not None
    assert (tested.last_test_result, tested.rights, tested.rights_at) == ("auth", RIGHTS, second.rights_at)


def test_a_connection_in_use_is_not_removed_and_a_removed_one_takes_no_run(
    store: PgStore, vault: Vault
) -> None:
    added = store.connections.add(NEW, stored(vault, ANN))
    paper = make_run(store, "ann")
    run = msgspec.structs.replace(
        paper, id=uuid5(UUID(int=0), "live"), account_id=added.id, status=RunStatus.DRAFT
    )
    store.create_run(run)
    with pytest.raises(Conflict, match="a run uses this connection"):
        store.connections.remove(ANN, added.id)
    store.command(run.id, RunCommand.ARCHIVE, by="ann")
    assert store.connections.remove(ANN, added.id) is True
    assert store.connections.remove(ANN, added.id) is False
    assert store.connections.sealed([added.id]) == []
    assert store.account(added.id) is not None  # its history stays
    again = msgspec.structs.replace(run, id=uuid5(UUID(int=0), "again"))
    with pytest.raises(Conflict, match="has been removed"):
        store.create_run(again)


def test_a_connection_nothing_happened_on_leaves_no_trace(store: PgStore, vault: Vault) -> None:
    added = store.connections.add(NEW, stored(vault, ANN))
    assert store.connections.remove(ANN, added.id) is True
    assert store.account(added.id) is None
    assert store.connections.of_all() == []


def test_a_run_that_begins_while_its_connection_goes_loses_or_keeps_it(
    store: PgStore, vault: Vault, database: Database
) -> None:
    """The removal holds the account until it commits; the run waits there and then sees that it is gone."""
    added = store.connections.add(NEW, stored(vault, ANN))
    paper = make_run(store, "ann")
    run = msgspec.structs.replace(paper, id=uuid5(UUID(int=0), "live"), account_id=added.id)
    outcome: list[object] = []

    def create() -> None:
        try:
            store.create_run(run)
        except Conflict as refusal:
            outcome.append(refusal)

    with psycopg.connect(database.service_dsn) as removal:
        removal.execute("SELECT FROM accounts WHERE id = %s FOR UPDATE", [added.id])
        removal.execute("UPDATE accounts SET removed_at = clock_timestamp() WHERE id = %s", [added.id])
        begins = threading.Thread(target=create)
        begins.start()
        while not _waits(removal):
            assert begins.is_alive()
    begins.join(WAIT_S)
    assert len(outcome) == 1
    assert "has been removed" in str(outcome[0])


def _waits(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
    row = connection.execute(query).fetchone()
    return bool(row and row[0])


def test_rights_are_asked_for_again_by_one_process_at_a_time(store: PgStore, vault: Vault) -> None:
    fresh = store.connections.add(NEW, stored(vault, ANN))
    assert store.connections.claim_checks(every_s=3_600, retry_s=0, limit=10) == []
    assert store.connections.claim_checks(every_s=0, retry_s=0, limit=10) == [fresh.id]
    assert store.connections.claim_checks(every_s=0, retry_s=300, limit=10) == []


class Rotation:
    """Sixty connections under the master key m1, in a process that also knows m2 and puts it first."""

    COUNT = 60

    def __init__(self, store: PgStore) -> None:
        self.store = store
        self.old = vault_of(master("m1", 1))
        self.both = vault_of(master("m2", 2), master("m1", 1), seed=5)
        for number in range(self.COUNT):
            store.connections.add(NEW, stored(self.old, UserId(f"user-{number}"), number))

    def batch(self, after: AccountId | None, limit: int = 7) -> tuple[AccountId | None, int]:
        """One step: the last connection seen and how many were put in place."""
        read = self.store.connections.to_rewrap(self.both.first_id, after=after, limit=limit)
        done = [Rewrapped(sealed=self.both.rewrap(each), was=each.master_key_id) for each in read]
        return (read[-1].account_id if read else None), self.store.connections.rewrap(done)


def test_rotation_goes_on_where_it_was_cut_off_and_ends_with_every_row_re_wrapped(store: PgStore) -> None:
    rotation = Rotation(store)
    assert rotation.batch(None)[1] == 7
    assert store.connections.count_to_rewrap("m2") == Rotation.COUNT - 7
    after: AccountId | None = None  # begun anew: what is done is not seen again
    steps = 0
    while True:
        last, done = rotation.batch(after)
        if last is None:
            break
        after, steps = last, steps + done
    assert steps == Rotation.COUNT - 7
    assert store.connections.count_to_rewrap("m2") == 0
    new_alone = vault_of(master("m2", 2))
    for each in store.connections.of_all():
        (sealed,) = store.connections.sealed([each.id])
        assert shown(new_alone.open(sealed))[0] == KEY
    with pytest.raises(VaultError):
        rotation.old.open(sealed)


def test_a_key_that_was_replaced_meanwhile_is_not_wrapped_over(store: PgStore) -> None:
    rotation = Rotation(store)
    read = store.connections.to_rewrap("m2", after=None, limit=2)
    late = [Rewrapped(sealed=rotation.both.rewrap(each), was=each.master_key_id) for each in read]
    owner = Owner(user_id=read[0].user_id, account_id=read[0].account_id)
    newer = rotation.old.seal(owner, key=Secret("newer-key"), secret=Secret("newer-secret"))
    store.connections.replace_keys(StoredKeys(sealed=newer, key_hint="-key", rights=RIGHTS))
    assert store.connections.rewrap(late) == 1
    (sealed,) = store.connections.sealed([owner.account_id])
    assert shown(rotation.both.open(sealed)) == ("newer-key", "newer-secret")


def test_rotation_under_load_never_shows_keys_that_do_not_open(store: PgStore) -> None:
    """Two rotations at once, users replacing keys, and readers that open every row again and again meanwhile."""
    rotation = Rotation(store)
    over = threading.Event()
    ids = [each.id for each in store.connections.of_all()]

    def use() -> int:
        count = 0
        while not over.is_set() or count == 0:
            for sealed in store.connections.sealed(ids):
                key, secret = shown(rotation.both.open(sealed))
                assert secret.startswith(SECRET) if key == KEY else (key, secret) == ("newer", "newest")
                count += 1
        return count

    def rotate(limit: int) -> int:
        done, after = 0, None
        while True:
            last, changed = rotation.batch(after, limit)
            if last is None:
                return done
            after, done = last, done + changed

    def replace(seed: int) -> None:
        vault = vault_of(master("m2", 2), master("m1", 1), seed=100 + seed)
        for number in Random(seed).sample(range(Rotation.COUNT), 20):
            owner = Owner(
                user_id=UserId(f"user-{number}"),
                account_id=stored(vault, UserId(f"user-{number}"), number).sealed.account_id,
            )
            sealed = vault.seal(owner, key=Secret("newer"), secret=Secret("newest"))
            assert store.connections.replace_keys(StoredKeys(sealed=sealed, key_hint="ewer", rights=RIGHTS))

    with ThreadPoolExecutor(4) as pool:
        reading = pool.submit(use)
        work = [pool.submit(rotate, 3), pool.submit(rotate, 5), pool.submit(replace, 1)]
        try:
            for each in work:
                each.result(WAIT_S)
        finally:
            over.set()
        opened = reading.result(WAIT_S)
    assert opened >= Rotation.COUNT
    assert store.connections.count_to_rewrap("m2") == 0


def known(keys: StoredKeys, by: int) -> StoredKeys:
    return msgspec.structs.replace(keys, fingerprint=bytes([by]) * 32)


def test_a_key_is_one_connections_whoevers_until_that_lets_go_of_it(store: PgStore, vault: Vault) -> None:
    """Two books on one account: each would take the other's position for a stranger's (§7, drift)."""
    connections = store.connections
    first = connections.add(NEW, known(stored(vault, ANN), 1))
    for user, number in ((ANN, 1), (BOB, 0)):
        with pytest.raises(KeyInUse):
            connections.add(NEW, known(stored(vault, user, number), 1))
    assert connections.of_all() == [first]
    other = connections.add(NEW, known(stored(vault, BOB), 2))
    with pytest.raises(KeyInUse):
        connections.replace_keys(known(stored(vault, BOB), 1))
    assert connections.get(other.id) == other
    # Another secret for the same key, another key, and the one it had is free again.
    assert connections.replace_keys(known(stored(vault, ANN), 1)) is not None
    with pytest.raises(KeyInUse):
        connections.replace_keys(known(stored(vault, BOB), 1))
    assert connections.replace_keys(known(stored(vault, ANN), 3)) is not None
    assert connections.replace_keys(known(stored(vault, BOB), 1)) is not None
    assert connections.remove(BOB, other.id)
    connections.add(NEW, known(stored(vault, ANN, 1), 1))


def test_one_of_two_additions_of_a_key_at_once_is_kept(store: PgStore, vault: Vault) -> None:
    def add(user: UserId) -> bool:
        try:
            store.connections.add(NEW, known(stored(vault, user), 1))
        except KeyInUse:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(add, [UserId(f"user-{number}") for number in range(6)])).count(True) == 1


def test_a_key_changed_by_the_version_before_is_not_known_by_its_old_one(
    store: PgStore, vault: Vault, database: Database
) -> None:
    ann = store.connections.add(NEW, known(stored(vault, ANN), 1))
    with psycopg.connect(database.service_dsn) as connection:
        connection.execute("UPDATE connection_keys SET data_key_id = gen_random_uuid()")
    bob = store.connections.add(NEW, known(stored(vault, BOB), 1))
    ann_now = store.connections.get(ann.id)
    assert ann_now is not None
    recognise = store.connections.recognise
    assert not recognise(ann.id, ann_now.data_key_id, bytes([1]) * 32)
    assert recognise(ann.id, ann_now.data_key_id, bytes([2]) * 32)
    assert recognise(bob.id, bob.data_key_id, bytes([1]) * 32)
