"""Fingerprints: equal for equal keys whatever the master keys are, and under one secret for all processes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from core.connection import Venue
from core.redact import Secret
from schema.connections import Rewrapped
from schema.fingerprint import fingerprint, sealed_secret
from schema.pg import PgStore
from schema.vault import VaultError
from tests.schema.conftest import Database
from tests.schema.pg_world import open_store
from tests.schema.test_vault import KEY, master, vault_of

OLD, NEW = master("m1", 1), master("m2", 2)


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = open_store(database.service_dsn)
    yield opened
    opened.close()


def test_i13_it_is_the_keys_and_the_venues_and_says_nothing_of_the_key() -> None:
    vault = vault_of(OLD)
    sealed = sealed_secret(vault, Random(3).randbytes)
    made = fingerprint(vault, sealed, Venue.BINANCE, Secret(KEY))
    assert made == fingerprint(vault, sealed, Venue.BINANCE, Secret(KEY))
    assert len(made) == 32
    others = {
        fingerprint(vault, sealed, Venue.BYBIT, Secret(KEY)),
        fingerprint(vault, sealed, Venue.BINANCE, Secret(KEY + "x")),
        fingerprint(vault, sealed_secret(vault, Random(4).randbytes), Venue.BINANCE, Secret(KEY)),
    }
    assert len(others | {made}) == 4
    with pytest.raises(VaultError):
        fingerprint(vault_of(NEW), sealed, Venue.BINANCE, Secret(KEY))


def test_the_first_secret_is_kept_and_a_rotation_of_master_keys_changes_no_fingerprint(
    store: PgStore,
) -> None:
    connections, vault = store.connections, vault_of(OLD)
    kept = connections.fingerprint_secret(sealed_secret(vault, Random(3).randbytes))
    assert connections.fingerprint_secret(sealed_secret(vault, Random(4).randbytes)) == kept
    made = fingerprint(vault, kept, Venue.BINANCE, Secret(KEY))
    both = vault_of(NEW, OLD)
    assert connections.count_to_rewrap("m2") == 1
    (sealed,) = connections.to_rewrap("m2", after=None)
    assert connections.rewrap([Rewrapped(sealed=both.rewrap(sealed), was="m1")]) == 1
    assert connections.count_to_rewrap("m2") == 0
    after = connections.fingerprint_secret(sealed_secret(both, Random(5).randbytes))
    assert fingerprint(vault_of(NEW), after, Venue.BINANCE, Secret(KEY)) == made
