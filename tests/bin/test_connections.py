"""`connections`: keys by prompt or stdin, tested at a venue over real HTTP, sealed, re-wrapped, removed."""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from bin.commands.connections import read_keys
from bin.commands.main import main
from core.errors import RunnerError
from core.ids import AccountId
from schema.pg import PgStore
from tests.bin.key_server import KeyServer, key_server
from tests.canaries import KEYS, SECRETS, scan
from tests.schema.conftest import Database
from tests.schema.pg_world import open_store
from tests.schema.test_vault import master, shown, vault_of

ADD = ("connections", "add", "--user", "ann", "--name", "main", "--venue", "binance")
WAIT_S = 20.0
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def venue(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyServer]:
    with key_server() as server:
        monkeypatch.setenv("DATABASE_URL", database.owner_dsn)
        monkeypatch.setenv("RUNNER_MASTER_KEYS", master("m1", 1))
        monkeypatch.setenv("BINANCE_BASE_URL", server.address)
        yield server


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit code, stdout and stderr of a command with this on its stdin."""

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = main(list(arguments))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def keys(number: int) -> str:
    return f"{KEYS[number]}\n{SECRETS[number]}\n"


def added(run: Run, venue: KeyServer, number: int) -> Any:
    venue.knows(KEYS[number])
    code, out, err = run(*ADD, "--json", stdin=keys(number))
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = open_store(database.service_dsn)
    yield opened
    opened.close()


def test_a_key_from_stdin_is_tested_sealed_listed_and_removed(
    run: Run, venue: KeyServer, store: PgStore
) -> None:
    document = added(run, venue, 0)
    assert document["keyHint"] == KEYS[0][-4:]
    assert (document["lastTestResult"], document["notices"]) == ("ok", [])
    (sealed,) = store.connections.sealed([AccountId(UUID(document["id"]))])
    assert shown(vault_of(master("m1", 1)).open(sealed)) == (KEYS[0], SECRETS[0])
    code, out, _ = run("connections", "list")
    assert code == 0
    assert f"{document['id']}  ann: main, binance live, key …{KEYS[0][-4:]}, last test ok" in out
    assert json.loads(run("connections", "list", "--user", "bob", "--json")[1]) == {"connections": []}
    assert run("connections", "remove", document["id"])[0] == 0
    assert run("connections", "list")[1] == "There are no connections.\n"
    code, _, err = run("connections", "remove", document["id"])
    assert (code, err) == (1, f"There is no connection {document['id']}.\n")


def test_i19_a_key_that_may_withdraw_is_refused_and_not_stored(
    run: Run, venue: KeyServer, store: PgStore
) -> None:
    venue.knows(KEYS[1], withdraw=True)
    code, out, err = run(*ADD, stdin=keys(1))
    assert (code, out) == (1, "")
    assert "may withdraw" in err
    assert store.connections.of_all() == []


def test_i13_no_refusal_and_no_answer_shows_a_key(run: Run, venue: KeyServer) -> None:
    venue.knows(KEYS[2], bound=False)
    told = [
        run(*ADD, stdin=keys(2)),
        run(*ADD, stdin=keys(3)),  # unknown to the venue
        run(*ADD, stdin=f"{KEYS[4]}\n"),  # no secret
        run(*ADD, "--json", stdin=f"{KEYS[4]} {SECRETS[4]}\n"),
        run("connections", "list"),
    ]
    assert [code for code, _, _ in told] == [0, 1, 1, 1, 0]
    assert "works from any address" in told[0][1]
    assert "does not take this key" in told[1][2]
    for _, out, err in told:
        assert scan("command", out + err) == []


def test_a_venue_that_is_away_is_said_and_nothing_is_stored(
    run: Run, venue: KeyServer, store: PgStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINANCE_BASE_URL", "http://127.0.0.1:1")
    code, _, err = run(*ADD, stdin=keys(0))
    assert code == 1
    assert "gave no usable answer" in err
    assert "asked at http://127.0.0.1:1" in err
    assert store.connections.of_all() == []


def test_a_stored_key_is_tested_again(run: Run, venue: KeyServer) -> None:
    connection = added(run, venue, 0)["id"]
    assert run("connections", "test", connection)[0] == 0
    venue.knows(KEYS[0], withdraw=True)
    code, out, _ = run("connections", "test", connection, "--json")
    assert code == 1
    assert json.loads(out)["lastTestResult"] == "key_may_withdraw"
    assert run("connections", "test", str(uuid4()))[0] == 1


def test_keys_are_re_wrapped_by_the_first_master_key(
    run: Run, venue: KeyServer, store: PgStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (added(run, venue, number)["id"] for number in (0, 5))
    monkeypatch.setenv("RUNNER_MASTER_KEYS", f"{master('m2', 2)},{master('m1', 1)}")
    code, out, _ = run("connections", "rotate-keys", "--json")
    # Two connections, and what their fingerprints are made under.
    assert (code, json.loads(out)) == (0, {"rewrapped": 3, "left": 0, "unopened": []})
    assert json.loads(run("connections", "rotate-keys", "--json")[1])["rewrapped"] == 0
    monkeypatch.setenv("RUNNER_MASTER_KEYS", master("m2", 2))
    for connection in (one, two):
        assert run("connections", "test", connection)[0] == 0
    monkeypatch.setenv("RUNNER_MASTER_KEYS", master("m3", 3))
    code, _, err = run("connections", "rotate-keys")
    assert code == 1
    assert f"Connection {one} does not open" in err
    code, _, err = run("connections", "test", one)
    assert (code, err) == (1, f"Connection {one} does not open with the master keys given.\n")
    kept = store.connections.get(AccountId(UUID(one)))
    assert kept is not None
    assert kept.last_test_result == "ok", "what a shell lacks is no trouble of the key"
    assert {each.master_key_id for each in store.connections.to_rewrap("m3", after=None)} == {"m2"}


def test_without_master_keys_the_command_says_so(
    run: Run, venue: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNNER_MASTER_KEYS")
    code, _, err = run("connections", "list")
    assert (code, err) == (1, "RUNNER_MASTER_KEYS is not set; give this command the service's own.\n")


@pytest.mark.parametrize(("option", "value"), [("--venue", "kraken"), ("--environment", "moon")])
def test_a_venue_or_environment_there_is_not_is_a_wrong_command_line(
    run: Run, option: str, value: str
) -> None:
    assert run(*ADD, option, value, stdin=keys(0))[0] == 2


@pytest.mark.parametrize("name", ["--key", "--secret", "--api-key", "--api-secret"])
def test_no_option_takes_a_key(run: Run, name: str) -> None:
    assert run(*ADD, name, "x" * 20)[0] == 2


ON_A_TERMINAL = """
from bin.commands.connections import read_keys
from tests.canaries import KEYS, SECRETS
opened = read_keys()
assert (opened.key.reveal(), opened.secret.reveal()) == (KEYS[0], SECRETS[0])
"""


def test_i13_a_prompt_does_not_echo() -> None:
    """On a terminal of its own, whose other end sees all that would be on the screen."""
    screen, terminal = os.openpty()
    asked = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    os.close(terminal)
    seen = b""
    try:
        for prompt, answer in ((b"API key: ", KEYS[0]), (b"API secret: ", SECRETS[0])):
            while prompt not in seen:
                assert select.select([screen], [], [], WAIT_S)[0], seen
                seen += os.read(screen, 1_024)
            os.write(screen, f"{answer}\n".encode())
        assert asked.wait(WAIT_S) == 0
    finally:
        asked.kill()
        asked.wait()
        os.close(screen)
    assert scan("screen", seen.decode()) == []


def test_one_line_on_stdin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEYS[0]}\n"))
    with pytest.raises(RunnerError, match="a line each"):
        read_keys()
