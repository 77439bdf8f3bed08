"""What drills leave behind is looked through for their keys (I13)."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from bin.commands.main import main
from bin.drill.left import traces_left
from schema import evidence
from schema.pg import PgStore
from tests.schema.conftest import Database
from tests.schema.pg_world import open_store

KEY, SECRET = "0123456789abcdefghijklmnopqrstuv", "ZYXWVUTSRQPONMLKJIHGFEDCBA987654"


@pytest.fixture
def store(database: Database) -> PgStore:
    return open_store(database.service_dsn)


def test_i13_a_piece_of_a_key_in_a_log_a_row_or_an_answer_is_found_and_not_repeated(
    database: Database, store: PgStore, tmp_path: Path
) -> None:
    (tmp_path / "node-1.log").write_text("nothing of the kind")
    with evidence.witness(database.owner_dsn) as connection:
        assert traces_left([KEY, SECRET], tmp_path, [connection], ["nor here"])[0] == []
        (tmp_path / "node-2.log").write_text(f"... {base64.b64encode(SECRET.encode()).decode()} ...")
        store.set_kill_switch(on=True, reason=f"it is {KEY[5:20]}")
        found, read = traces_left(
            [KEY, SECRET], tmp_path, [connection], [f"said {KEY.encode().hex().upper()}"]
        )
    store.close()
    assert {where.partition(" (")[0] for where in found} >= {
        "node-2.log",
        "table platform_settings",
        "what a command said",
    }
    assert not any(piece in " ".join(found) for piece in (KEY[5:17], SECRET[:12]))
    assert read > len(KEY)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "operator", "--previous", str(tmp_path)]) == 1
    assert "is no checkout of the program" in capsys.readouterr().err
