"""The embedded server: what it offers, who shares it, and what survives which death."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.errors import RunnerError
from schema.embedded import EmbeddedPostgres
from schema.postgres_binaries import BinariesError, find_binaries, inspect_binaries
from tests.schema.server_watch import ask, in_child, pid_of

HOLD = """
    server = EmbeddedPostgres(Path(sys.argv[1]))
    server.attach()
    print("attached", server.first, flush=True)
    sys.stdin.readline()
    server.close()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One server for the tests that only look at it."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("server") / "database") as server:
        yield server


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/cwd").exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_service_role_is_no_superuser_and_owns_nothing(server: EmbeddedPostgres) -> None:
    question = """SELECT current_user::text, rolsuper, rolcreaterole, rolcreatedb,
        pg_get_userbyid(datdba)::text FROM pg_roles, pg_database
        WHERE rolname = current_user AND datname = current_database()"""
    assert ask(server.service_dsn, question) == [("runner_service", False, False, False, "runner_owner")]
    assert ask(server.owner_dsn, question) == [("runner_owner", False, False, False, "runner_owner")]


def test_the_server_is_durable_quiet_and_off_the_network(server: EmbeddedPostgres) -> None:
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "max_connections": "60",
        "shared_buffers": "128MB",
        "TimeZone": "UTC",
        "jit": "off",
        "log_min_error_statement": "panic",
    }
    rows = ask(server.admin_dsn, "SELECT name, current_setting(name) FROM pg_settings")
    assert {str(name): value for name, value in rows if name in expected} == expected


def test_the_server_inherits_nothing_of_ours(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """I13: a secret in our environment reaches neither the server's environment nor its descriptors."""
    monkeypatch.setenv("RUNNER_MASTER_KEYS", "canary")
    data = open_folder / "database"
    with open(open_folder / "secret", "w") as secret, EmbeddedPostgres(data):
        os.set_inheritable(secret.fileno(), True)
        process = Path(f"/proc/{pid_of(data)}")
        assert b"canary" not in (process / "environ").read_bytes()
        assert str(open_folder / "secret") not in {os.readlink(fd) for fd in (process / "fd").iterdir()}


def test_a_refused_statement_leaves_no_values_in_the_log(server: EmbeddedPostgres) -> None:
    """I13: errors go to the client that made them, not into a file."""
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        ask(server.service_dsn, "SELECT 'canary'::integer")
    ((log,),) = ask(server.admin_dsn, "SELECT current_setting('config_file')")
    text = Path(str(log)).with_name("server.log").read_text()
    assert "ready to accept connections" in text
    assert "canary" not in text


def test_the_log_has_a_bound(open_folder: Path) -> None:
    data = open_folder / "database"
    with EmbeddedPostgres(data):
        pass
    with (data / "server.log").open("a") as log:
        log.write("x" * 9_000_000 + "\nthe end\n")
    with EmbeddedPostgres(data):
        text = (data / "server.log").read_text()
    assert len(text) < 1_100_000
    assert "the end" in text


@pytest.mark.parametrize("name", ["d" * 120, "with, comma", "with 'quote"])
def test_a_path_no_socket_can_have_gets_a_private_short_one(open_folder: Path, name: str) -> None:
    data = open_folder / name
    with EmbeddedPostgres(data) as server:
        folder = Path(str(psycopg.conninfo.conninfo_to_dict(server.service_dsn)["host"]))
        assert len(str(folder)) < 60
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert ask(server.service_dsn, "SELECT 1") == [(1,)]
    folder.rmdir()


def test_a_path_with_a_space_works(open_folder: Path) -> None:
    with EmbeddedPostgres(open_folder / "my data") as server:
        assert ask(server.service_dsn, "SELECT 1") == [(1,)]


def test_every_supported_version_on_this_machine_works(open_folder: Path) -> None:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin")):
        try:
            binaries = inspect_binaries(folder)
        except BinariesError:
            continue
        with EmbeddedPostgres(open_folder / folder.parent.name, binaries=binaries) as server:
            number = ask(server.service_dsn, "SELECT current_setting('server_version_num')::integer / 10000")
            assert number == [(binaries.major,)]


# -- sharing


def test_the_last_one_out_stops_the_server(open_folder: Path) -> None:
    data = open_folder / "database"
    first, second = EmbeddedPostgres(data), EmbeddedPostgres(data)
    first.attach()
    second.attach()
    assert (first.first, second.first) == (True, False)
    pid = pid_of(data)
    first.close()
    first.close()
    assert pid_of(data) == pid
    assert ask(second.service_dsn, "SELECT 1") == [(1,)]
    second.close()
    assert not (data / "cluster" / "postmaster.pid").exists()
    with pytest.raises(psycopg.OperationalError):
        ask(second.service_dsn, "SELECT 1")


def test_processes_attaching_at_once_share_one_server(open_folder: Path) -> None:
    data = open_folder / "database"
    children = [in_child(HOLD, data) for _ in range(3)]
    answers = [child.stdout.readline().strip() for child in children if child.stdout]
    assert sorted(answers) == ["attached False", "attached False", "attached True"]
    for child in children:
        child.communicate("\n", timeout=30)
        assert child.returncode == 0
    assert not (data / "cluster" / "postmaster.pid").exists()


def test_a_killed_holder_frees_its_place_and_leaves_the_server(open_folder: Path) -> None:
    data = open_folder / "database"
    holder = in_child(HOLD, data)
    assert holder.stdout
    assert holder.stdout.readline() == "attached True\n"
    pid = pid_of(data)
    holder.kill()
    holder.communicate(timeout=10)
    with EmbeddedPostgres(data) as server:
        assert pid_of(data) == pid
        assert server.first, "whoever held leases is dead"
    wait_until_gone(pid)
    assert not (data / "cluster" / "postmaster.pid").exists()


# -- deaths


def test_committed_rows_survive_kill_9_of_the_server(open_folder: Path) -> None:
    data = open_folder / "database"
    with EmbeddedPostgres(data) as server:
        with psycopg.connect(server.owner_dsn, connect_timeout=5) as connection:
            connection.execute("CREATE TABLE rows AS SELECT generate_series(1, 1000) AS n")
        os.kill(pid_of(data), signal.SIGKILL)
        with EmbeddedPostgres(data) as again:
            assert ask(again.service_dsn, "SELECT count(*) FROM rows") == [(1000,)]


@pytest.mark.parametrize("pid", [os.getpid(), 1], ids=["this process", "init"])
def test_a_stale_pid_that_is_now_another_program_does_not_count_as_running(
    open_folder: Path, pid: int
) -> None:
    data = open_folder / "database"
    with EmbeddedPostgres(data):
        stale = (data / "cluster" / "postmaster.pid").read_text().split("\n")
        socket_lock = (data / "run" / ".s.PGSQL.5432.lock").read_text().split("\n")
    for file, lines in (("cluster/postmaster.pid", stale), ("run/.s.PGSQL.5432.lock", socket_lock)):
        (data / file).write_text("\n".join([str(pid), *lines[1:]]))
    with EmbeddedPostgres(data) as server:
        assert ask(server.service_dsn, "SELECT 1") == [(1,)]


def test_a_creation_that_was_interrupted_starts_over(open_folder: Path) -> None:
    data = open_folder / "database"
    (data / "cluster.new" / "base").mkdir(parents=True)
    (data / "cluster.new" / "PG_VERSION").write_text("18")
    data.chmod(0o700)
    with EmbeddedPostgres(data) as server:
        assert ask(server.service_dsn, "SELECT 1") == [(1,)]
    assert not (data / "cluster.new").exists()


def test_roles_whose_making_was_interrupted_are_made_at_the_next_start(open_folder: Path) -> None:
    data = open_folder / "database"
    with EmbeddedPostgres(data) as server, psycopg.connect(server.admin_dsn, autocommit=True) as admin:
        admin.execute("DROP DATABASE runner")
        admin.execute("DROP ROLE runner_service")
        (data / "ready").unlink()
    with EmbeddedPostgres(data) as server:
        assert ask(server.service_dsn, "SELECT current_user::text") == [("runner_service",)]


# -- refusals, one sentence each


def test_data_of_another_major_version_is_refused(open_folder: Path) -> None:
    data = open_folder / "database"
    with EmbeddedPostgres(data):
        pass
    (data / "cluster" / "PG_VERSION").write_text("14\n")
    with pytest.raises(
        RunnerError, match=r"was made by PostgreSQL 14, but the programs in .* set RUNNER_PG_BIN"
    ):
        EmbeddedPostgres(data).attach()
    assert (data / "cluster" / "base").exists()


def test_a_server_that_cannot_start_says_why(open_folder: Path) -> None:
    data = open_folder / "database"
    with EmbeddedPostgres(data):
        pass
    (data / "cluster" / "global" / "pg_control").unlink()
    with pytest.raises(RunnerError, match=r"^The embedded database did not start: .*pg_control"):
        EmbeddedPostgres(data).attach()


def test_why_a_server_cannot_start_is_not_what_an_earlier_one_had_to_say(open_folder: Path) -> None:
    data = open_folder / "database"
    with EmbeddedPostgres(data):
        pass
    with (data / "server.log").open("a") as log:
        log.write("FATAL:  terminating connection due to administrator command\n")
    (data / "cluster" / "global" / "pg_control").unlink()
    with pytest.raises(RunnerError, match=r"^The embedded database did not start: .*pg_control"):
        EmbeddedPostgres(data).attach()


def test_a_data_directory_below_a_file_is_refused(open_folder: Path) -> None:
    (open_folder / "file").write_text("")
    with pytest.raises(RunnerError, match=r"^The data directory .* cannot be written: Not a directory\.$"):
        EmbeddedPostgres(open_folder / "file" / "database").attach()


def test_a_socket_folder_planted_by_another_is_refused(open_folder: Path) -> None:
    data = open_folder / "database"
    data.mkdir(mode=0o700)
    (data / "run").symlink_to(open_folder)
    with pytest.raises(RunnerError, match="is not ours"):
        EmbeddedPostgres(data).attach()


def test_named_programs_are_used_or_refused(open_folder: Path) -> None:
    found = find_binaries()
    assert find_binaries({"RUNNER_PG_BIN": str(found.folder)}) == found
    with pytest.raises(BinariesError, match="RUNNER_PG_BIN names"):
        find_binaries({"RUNNER_PG_BIN": str(open_folder)})


def test_an_unsupported_version_is_refused(open_folder: Path) -> None:
    for name in ("initdb", "pg_ctl", "postgres"):
        (open_folder / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
        (open_folder / name).chmod(0o755)
    with pytest.raises(BinariesError, match="PostgreSQL 15 to 18 is supported"):
        find_binaries({"RUNNER_PG_BIN": str(open_folder)})
