"""What the suite leaves behind is really scanned: a planted canary is found in files, names and rows (I13)."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.canaries import KEYS, SECRETS
from tests.leftovers import Leftovers
from tests.schema.conftest import (
    Database,
    admin,
    copies,
    database,
    database_url,
    template_database,
)

__all__ = ["admin", "copies", "database", "database_url", "template_database"]


def found(left: Leftovers) -> set[int]:
    return {trace.canary for trace in left.traces}


def test_i13_a_canary_in_a_file_or_its_name_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    planted = [inner / "run.log", tmp_path / f"{KEYS[2]}.txt"]
    planted[0].write_bytes(b"\xff\x00" * 99 + SECRETS[0].encode().hex().encode())
    planted[1].write_text("nothing")
    try:
        left = Leftovers()
        left.note_folder(tmp_path)
        assert found(left) == {len(KEYS), 2}
    finally:
        for path in planted:
            path.unlink()


def test_i13_a_canary_in_any_row_is_found(database: Database) -> None:
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute("UPDATE platform_settings SET kill_switch_reason = %s", [f"because {KEYS[4]}"])
        try:
            left = Leftovers()
            left.note_database(database.owner_dsn)
            assert found(left) == {4}
        finally:
            connection.execute("UPDATE platform_settings SET kill_switch_reason = ''")
    clean = Leftovers()
    clean.note_database(database.owner_dsn)
    assert clean.traces == []
    assert clean.scanned > 0
