"""Which account the embedded server runs as, what it can reach, and whom it lets in."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import psycopg
import pytest

from schema.embedded import EmbeddedPostgres
from schema.postgres_binaries import PostgresBinaries, copy_binaries, find_binaries
from tests.schema.server_watch import ROOT, ask, in_child, pid_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may take on other uids")
ORDINARY_UID = 4242  # in no user database
NAMED_UID = pwd.getpwnam("daemon").pw_uid

START_AND_SAY = """
    with EmbeddedPostgres(Path(sys.argv[1]), binaries=inspect_binaries(Path(sys.argv[2]))) as server:
        with psycopg.connect(server.service_dsn, connect_timeout=5) as connection:
            print(connection.execute("SELECT current_user").fetchone()[0])
"""


@pytest.fixture
def private_folder(open_folder: Path) -> Path:
    """A folder of this user alone, as `/root` or a home folder is."""
    folder = open_folder / "private"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def open_binaries(open_folder: Path) -> PostgresBinaries:
    """The server programs where every account may run them, wherever this checkout lies."""
    return copy_binaries(find_binaries(), open_folder)


def real_uid_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Uid:"))


def permissions(folder: Path) -> list[tuple[Path, int, int]]:
    states = ((parent, parent.stat()) for parent in (folder, *folder.parents))
    return [(parent, stat.S_IMODE(found.st_mode), found.st_uid) for parent, found in states]


def become(uid: int) -> str:
    return f"""
        os.setgroups([]); os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid}); os.chdir('/')
        if not os.access(sys.executable, os.X_OK): sys.executable = '/usr/bin/python3'
    """


@as_root
def test_root_hands_the_server_to_a_service_account(
    open_folder: Path, open_binaries: PostgresBinaries
) -> None:
    data = open_folder / "database"
    before = permissions(open_folder)
    with EmbeddedPostgres(data, binaries=open_binaries):
        account = pwd.getpwuid(real_uid_of(pid_of(data))).pw_name
        assert account in ("postgres", "nobody")
        assert stat.S_IMODE(data.stat().st_mode) == 0o710
        assert data.stat().st_uid == 0
    assert permissions(open_folder) == before, "parents are never opened up"


@as_root
def test_root_below_a_private_folder_uses_a_user_namespace(private_folder: Path) -> None:
    data = private_folder / "database"
    before = permissions(private_folder)
    for _ in range(2):
        with EmbeddedPostgres(data) as server:
            process = Path(f"/proc/{pid_of(data)}")
            assert os.readlink(process / "ns/user") != os.readlink("/proc/self/ns/user")
            assert "CapEff:\t0000000000000000" in (process / "status").read_text()
            assert ask(server.service_dsn, "SELECT current_user::text") == [("runner_service",)]
    assert permissions(private_folder) == before


@as_root
def test_data_made_in_the_open_still_opens_once_its_parent_is_private(
    open_folder: Path, open_binaries: PostgresBinaries
) -> None:
    data = open_folder / "parent" / "database"
    data.parent.mkdir(mode=0o755)
    for mode in (0o755, 0o700, 0o755):
        data.parent.chmod(mode)
        with EmbeddedPostgres(data, binaries=open_binaries) as server:
            assert ask(server.service_dsn, "SELECT 1") == [(1,)]


@as_root
def test_root_without_namespaces_moves_the_data_to_a_folder_the_account_reaches(
    private_folder: Path, open_folder: Path
) -> None:
    # Root with every uid, in a user namespace that allows none below itself.
    without_namespaces = """
        import ctypes
        if (inside := os.fork()) == 0:
            ctypes.CDLL(None).unshare(0x10000000)
            os.kill(os.getpid(), signal.SIGSTOP)
            Path('/proc/sys/user/max_user_namespaces').write_text('0')
        else:
            os.waitpid(inside, os.WUNTRACED)
            Path(f'/proc/{inside}/uid_map').write_text('0 0 65536')
            Path(f'/proc/{inside}/gid_map').write_text('0 0 65536')
            os.kill(inside, signal.SIGCONT)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(inside, 0)[1]))
    """
    script = """
        data, fallback, binaries = map(Path, sys.argv[1:])
        with EmbeddedPostgres(data, fallback=fallback, binaries=inspect_binaries(binaries)) as server:
            with psycopg.connect(server.owner_dsn, connect_timeout=5) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept (n integer)")
                connection.execute("INSERT INTO kept VALUES (1)")
                print(connection.execute("SELECT count(*) FROM kept").fetchone()[0])
    """
    data, fallback = private_folder / "database", open_folder / "fallback"
    binaries = copy_binaries(find_binaries(), private_folder)
    before = permissions(private_folder)
    with EmbeddedPostgres(data) as server, psycopg.connect(server.owner_dsn) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
        connection.execute("INSERT INTO kept VALUES (1)")
    for expected in ("2\n", "3\n"):
        child = in_child(script, data, fallback, binaries.folder, before=without_namespaces)
        assert child.communicate(timeout=60) == (expected, "")
    assert not (data / "cluster").exists(), "moved, not doubled"
    with EmbeddedPostgres(data, fallback=fallback) as server:
        assert ask(server.service_dsn, "SELECT count(*) FROM kept") == [(3,)]
    assert permissions(private_folder) == before


@as_root
@pytest.mark.parametrize("uid", [NAMED_UID, ORDINARY_UID], ids=["with a name", "without a name"])
def test_an_ordinary_user_runs_the_server_as_themselves(
    open_folder: Path, open_binaries: PostgresBinaries, uid: int
) -> None:
    if pwd.getpwuid(0).pw_dir in map(str, ROOT.parents) and uid == ORDINARY_UID:
        pytest.skip("the checkout lies in root's home, which this uid cannot read")
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, uid, uid)
    child = in_child(START_AND_SAY, home / "database", open_binaries.folder, before=become(uid))
    assert child.communicate(timeout=60) == ("runner_service\n", "")
    assert (home / "database" / "cluster").stat().st_uid == uid


@as_root
def test_an_ordinary_user_without_a_place_to_write_is_told_in_one_sentence(
    open_folder: Path, open_binaries: PostgresBinaries
) -> None:
    script = """
        try:
            EmbeddedPostgres(Path(sys.argv[1])).attach()
        except Exception as error:
            print(type(error).__name__, error)
    """
    child = in_child(script, open_folder / "database", before=become(NAMED_UID))
    output, errors = child.communicate(timeout=30)
    assert errors == ""
    assert output == (
        f"RunnerError The data directory {open_folder / 'database'} cannot be written: Permission denied.\n"
    )


@as_root
@pytest.mark.parametrize("parent_mode", [0o755, 0o700], ids=["service account", "user namespace"])
@pytest.mark.parametrize("uid", [NAMED_UID, ORDINARY_UID, 65534], ids=["named", "unnamed", "nobody"])
def test_another_uid_is_refused_even_with_the_folders_opened(
    open_folder: Path, parent_mode: int, uid: int
) -> None:
    """I13: the socket's permissions are one wall, the server's own check of its peer another."""
    parent = open_folder / "parent"
    parent.mkdir()
    parent.chmod(parent_mode)
    data = parent / "database"
    with EmbeddedPostgres(data) as server:
        for folder in (parent, data, data / "run"):
            folder.chmod(0o755)
        (data / "run" / ".s.PGSQL.5432").chmod(0o777)
        script = """
            for role in ("runner_admin", "runner_owner", "runner_service"):
                try:
                    psycopg.connect(sys.argv[1], user=role, connect_timeout=5)
                    print("let in as", role)
                except psycopg.OperationalError as error:
                    print("Peer authentication failed" in str(error) or str(error))
        """
        child = in_child(script, server.service_dsn, before=become(uid))
        output, errors = child.communicate(timeout=30)
        assert (output, errors) == ("True\n" * 3, "")
