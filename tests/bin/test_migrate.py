"""`migrate`: applies what is missing, names it, and refuses a database of a newer program."""

from __future__ import annotations

import json

import psycopg
import pytest

from bin.commands.main import main
from schema.migrate import load_migrations
from tests.schema.conftest import Database


def test_what_was_applied_is_listed_and_nothing_is_applied_twice(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database.owner_dsn)
    assert main(["migrate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["applied"] == [each.name for each in load_migrations()]
    assert main(["migrate"]) == 0
    assert "up to date" in capsys.readouterr().out


def test_a_database_that_is_too_new_is_refused_with_a_sentence(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, '9999_later.sql', 'x')")
    monkeypatch.setenv("DATABASE_URL", database.owner_dsn)
    assert main(["migrate"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "newer than this program" in shown.err
    assert len(shown.err.splitlines()) == 1


def test_a_role_that_may_not_make_tables_is_told_what_to_do(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database.service_dsn)
    assert main(["migrate"]) == 1
    shown = capsys.readouterr().err
    assert f"may not make tables in the database {empty_database.name}" in shown
    assert len(shown.splitlines()) == 1


def test_a_database_that_is_away_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://runner:hunter2@127.0.0.1:1/runner")
    assert main(["migrate"]) == 1
    shown = capsys.readouterr().err
    assert "cannot be reached" in shown
    assert "hunter2" not in shown
