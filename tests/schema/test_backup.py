"""A dump put back into a fresh server is the installation again: rows, chains, rights, and it goes on from there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg

from core.audit import verify
from core.ids import UserId
from schema.audit import chains
from schema.embedded import EmbeddedPostgres
from schema.evidence import ALWAYS, broken, witness
from schema.migrate import migrate, pending
from schema.postgres_binaries import find_binaries
from schema.server_files import SERVICE_ROLE
from tests.schema.conftest import Database
from tests.schema.pg_world import START, open_store, stand_at
from tests.schema.test_audit import some_events

TIMEOUT_S = 60


def run(program: str, *arguments: str) -> None:
    subprocess.run(
        [find_binaries() / program, *arguments],
        check=True,
        capture_output=True,
        timeout=TIMEOUT_S,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    )


def test_a_dump_restored_into_a_fresh_embedded_server_goes_on_where_it_was(
    database: Database, open_folder: Path
) -> None:
    store = open_store(database.service_dsn)
    stand_at(store, START)
    some_events(store, "ann")
    run_before = store.runs()
    store.close()
    with witness(database.service_dsn) as connection:
        told_before = broken(connection, ALWAYS)
    dump = open_folder / "runner.dump"
    run("pg_dump", "--format=custom", "--no-owner", f"--dbname={database.owner_dsn}", f"--file={dump}")
    with EmbeddedPostgres(open_folder / "fresh") as server:
        # Else its tables are born with rights that the dump's own do not take away.
        rights = f"ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM {SERVICE_ROLE}"
        run("psql", f"--dbname={server.owner_dsn}", f"--command={rights}")
        run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={server.owner_dsn}", str(dump))
        assert pending(server.owner_dsn) == []
        assert migrate(server.owner_dsn) == []
        with witness(server.service_dsn) as connection:
            assert broken(connection, ALWAYS) == told_before
        restored = open_store(server.service_dsn)
        try:
            assert restored.runs() == run_before
            assert len(restored.open_positions()) == 1
            before = len(restored.events(limit=200))
            some_events(restored, "bob")
            assert len(restored.events(limit=200)) > before
        finally:
            restored.close()
        with chains(server.service_dsn) as read:
            for head in read.heads():
                assert verify(head, read.links(UserId(head.user_id))).holds
        with psycopg.connect(server.service_dsn, autocommit=True, connect_timeout=10) as service:
            assert service.execute("SELECT has_table_privilege('strategy_events', 'DELETE')").fetchone() == (
                False,
            )
