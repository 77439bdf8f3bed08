"""`audit`: a chain verified in the database, exported, and verified again where there is no database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bin.commands.main import main
from schema.pg import PgStore
from tests.schema.conftest import Database
from tests.schema.pg_world import START, open_store, stand_at
from tests.schema.test_audit import some_events


@pytest.fixture
def store(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[PgStore]:
    monkeypatch.setenv("DATABASE_URL", database.owner_dsn)
    store = open_store(database.service_dsn)
    stand_at(store, START)
    some_events(store, "ann")
    yield store
    store.close()


def test_a_chain_that_holds_is_said_to_with_its_head(
    store: PgStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "verify", "--user", "ann", "--json"]) == 0
    [said] = json.loads(capsys.readouterr().out)["chains"]
    assert said["holds"]
    assert said["links"] > 3
    assert main(["audit", "verify", "--user", "ann", "--known", said["head"]]) == 0
    number, _, hexed = said["head"].partition(":")
    assert main(["audit", "verify", "--user", "ann", "--known", f"{number}:{hexed[::-1]}"]) == 1
    assert f"BROKEN: link {number}" in capsys.readouterr().out


def test_an_export_is_verified_without_a_database_and_names_the_first_broken_link(
    store: PgStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ann.events"
    assert main(["audit", "export", "--user", "ann", str(file)]) == 0
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    assert main(["audit", "verify", "--file", str(file)]) == 0
    lines = file.read_text().splitlines()
    content = json.loads(lines[3])["content"]
    assert json.loads(content)[2] == "ann", "an auditor reads what was sealed"
    file.write_text("\n".join([*lines[:3], lines[3].replace("ann", "bob"), *lines[4:]]))
    capsys.readouterr()
    assert main(["audit", "verify", "--file", str(file)]) == 1
    assert "BROKEN: link 3" in capsys.readouterr().out
    file.write_text("\n".join([*lines[:3], *lines[4:]]))
    assert main(["audit", "verify", "--file", str(file)]) == 1
    assert "link 3 is missing" in capsys.readouterr().out


def test_a_database_without_our_tables_is_refused_and_left_as_it_is(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A backup can still be restored into it afterwards."""
    monkeypatch.setenv("DATABASE_URL", empty_database.owner_dsn)
    assert main(["audit", "verify"]) == 1
    assert "holds nothing of ours" in capsys.readouterr().err
    with psycopg.connect(empty_database.owner_dsn) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)


@pytest.mark.parametrize("text", ["", "{}\n", '{"format": "else"}\n', "\xff\n"])
def test_what_is_no_export_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "x"
    file.write_text(text)
    assert main(["audit", "verify", "--file", str(file)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_user_without_events_is_one_sentence(store: PgStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "--user", "nobody"]) == 1
    assert "no sealed events of nobody" in capsys.readouterr().err
