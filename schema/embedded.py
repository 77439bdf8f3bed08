"""The embedded PostgreSQL: a server of our own in the data directory, shared by every command on it.

The server is its own process and outlives a killed holder. Three lock files carry the whole protocol,
because the kernel releases them with the last process that held them, however it died:

    start.lock      held while somebody starts or stops the server
    attached.lock   held shared by every attached process; who can take it alone was the last, and stops
    server.lock     inherited by initdb, by the server and by all its children; free = none of them lives

No pid is trusted to say that the server runs: after a container's restart it may be another program's.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import time
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg.conninfo import make_conninfo

from core.errors import RunnerError
from schema import server_files as files
from schema.database_roles import DATABASE, make_database, make_roles
from schema.locked_files import LockedFile
from schema.postgres_binaries import PostgresBinaries, copy_binaries, find_binaries
from schema.server_account import (
    ServerAccount,
    direct_account,
    namespace_account,
    no_account,
    service_account,
)
from schema.server_move import MOVED, move_data
from schema.server_process import is_alive, pid_in, sits_in, sitting_in

_FALLBACK = Path("/var/lib/strategy-runner")
_TURN_TIMEOUT_S = 180.0  # longer than one start by somebody else
_START_TIMEOUT_S = 120.0  # crash recovery on a slow disk
_INITDB_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 15.0  # then without a checkpoint: the next start recovers
_STOP_NOW_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 5
_POLL_S = 0.01


class EmbeddedPostgres:
    """A server in `data_dir`, a folder of its own, that runs while anybody is attached.

        with EmbeddedPostgres(data_dir) as server:
            psycopg.connect(server.service_dsn)

    A process that forks without exec keeps its parent's attachment until it ends.
    Every refusal is a `RunnerError` of one sentence.
    """

    def __init__(
        self, data_dir: Path, *, binaries: PostgresBinaries | None = None, fallback: Path = _FALLBACK
    ) -> None:
        self._folder = Path(os.path.abspath(data_dir))
        self._binaries = binaries
        self._fallback = fallback
        self._attached: LockedFile | None = None
        self._log_began = (
            0  # where the log of the start that was ours begins: earlier ones have ends of their own
        )
        self.first = False
        """Whether nobody else was attached when this process came: whoever held leases is dead."""

    @property
    def service_dsn(self) -> str:
        """For the service: reads and writes rows, changes no schema. Valid once attached."""
        return self._dsn(files.SERVICE_ROLE)

    @property
    def owner_dsn(self) -> str:
        """For migrations: owns the database, is no superuser. Valid once attached."""
        return self._dsn(files.OWNER_ROLE)

    @property
    def admin_dsn(self) -> str:
        """The superuser, for this launcher and for tests that create databases. Valid once attached."""
        return self._dsn(files.ADMIN_ROLE, "postgres")

    def attach(self) -> None:
        """Starts the server unless it runs, and keeps it running until `close`.

        Raises `RunnerError`: folder not writable, data of another major version, no account to run as,
        or a server that does not come up within its time.
        """
        if self._attached is not None:
            return
        files.make_home(self._folder)
        with self._turn():
            attached = self._lock("attached.lock")
            try:
                self.first = attached.try_exclusive()
                if not self._answers():
                    self._start()
                if not (self._home / "ready").exists():
                    self._make_first_database()
                elif self.first:
                    self._make_roles()  # those a version before this one did not know
                if not attached.try_shared():
                    raise RunnerError(f"The data directory {self._folder} is in use in an unexpected way.")
            except BaseException:
                if attached.try_exclusive():
                    self._stop()
                attached.close()
                raise
            files.trim_log(self._home / "server.log")
            self._attached = attached

    def close(self) -> None:
        """Detaches; the last one out stops the server, within 20 s."""
        if self._attached is None:
            return
        attached, self._attached = self._attached, None
        try:
            with self._turn():
                if attached.try_exclusive():
                    self._stop()
        finally:
            attached.close()

    def __enter__(self) -> EmbeddedPostgres:
        self.attach()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- places -------------------------------------------------------------------------------------

    @property
    def _home(self) -> Path:
        """Where the data really lies: the given folder, or the one it had to move to."""
        try:
            return Path((self._folder / MOVED).read_text())
        except FileNotFoundError:
            return self._folder

    @property
    def _cluster(self) -> Path:
        return self._home / "cluster"

    @property
    def _sockets(self) -> Path:
        return files.socket_folder(self._home)

    def _dsn(self, role: str, database: str = DATABASE) -> str:
        return make_conninfo(host=str(self._sockets), port=files.PORT, user=role, dbname=database)

    def _lock(self, name: str) -> LockedFile:
        try:
            return LockedFile(self._folder / name)
        except OSError as error:
            raise RunnerError(
                f"The data directory {self._folder} cannot be written: {error.strerror}."
            ) from error

    def _turn(self) -> LockedFile:
        lock = self._lock("start.lock")
        if not lock.wait_exclusive(_TURN_TIMEOUT_S):
            lock.close()
            raise RunnerError(
                f"Another process has been starting or stopping the database in {self._folder}"
                f" for more than {_TURN_TIMEOUT_S:.0f} s."
            )
        return lock

    # -- starting -----------------------------------------------------------------------------------

    def _answers(self) -> bool:
        try:
            self._connect(self.admin_dsn).close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self, dsn: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(dsn, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)

    def _start(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        with self._lock("server.lock") as alive:
            while not alive.try_exclusive():
                # A server of ours that nobody could reach yet: recovering, stopping, or being initialised.
                if self._answers():
                    return
                if time.monotonic() >= deadline:
                    raise self._unresponsive()
                time.sleep(_POLL_S)
            self._launch(alive, deadline)
        self._await_answer(deadline)

    def _launch(self, alive: LockedFile, deadline: float) -> None:
        binaries = self._binaries or find_binaries()
        self._refuse_other_version(binaries)
        account, binaries = self._settle(binaries)
        home, cluster, sockets = self._home, self._cluster, self._sockets
        files.open_to_account(home, account)
        files.make_owned(sockets, account)
        if cluster.exists():
            files.hand_over(cluster, account)
            self._clear_stale(cluster, sockets)
        else:
            self._initialise(binaries, account, alive)
        files.write_settings(home, sockets, account)
        files.trim_log(home / "server.log")
        files.make_log(home / "server.log", account)
        self._log_began = files.log_size(home / "server.log")
        options = " ".join(
            shlex.quote(part)
            for setting, name in (
                ("config_file", "server.conf"),
                ("hba_file", "hba.conf"),
                ("ident_file", "ident.conf"),
            )
            for part in ("-c", f"{setting}={home / name}")
        )
        started = account.run(
            [
                binaries / "pg_ctl", "start", "--silent", "--no-wait",
                "-D", cluster, "-l", home / "server.log", "-o", options,
            ],
            timeout_s=max(1.0, deadline - time.monotonic()),
            keep_open=(alive.fd,),
        )  # fmt: skip
        if started.returncode != 0:
            raise RunnerError(f"The embedded database did not start: {_last_line(started.stderr)}.")

    def _await_answer(self, deadline: float) -> None:
        while not self._answers():
            with self._lock("server.lock") as alive:
                if alive.try_exclusive():
                    words = files.last_words(self._home / "server.log", self._log_began)
                    raise RunnerError(f"The embedded database did not start: {words}.")
            if time.monotonic() >= deadline:
                raise self._unresponsive()
            time.sleep(_POLL_S)

    def _unresponsive(self) -> RunnerError:
        words = files.last_words(self._home / "server.log", self._log_began)
        return RunnerError(
            f"The embedded database in {self._folder} runs but has not answered for"
            f" {_START_TIMEOUT_S:.0f} s; its log ends with: {words}."
        )

    def _refuse_other_version(self, binaries: PostgresBinaries) -> None:
        try:
            major = (self._cluster / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return
        if major != str(binaries.major):
            raise RunnerError(
                f"The data in {self._folder} was made by PostgreSQL {major}, but the programs in"
                f" {binaries.folder} are PostgreSQL {binaries.major}: set RUNNER_PG_BIN to programs of"
                f" version {major}, or choose another data directory."
            )

    def _initialise(self, binaries: PostgresBinaries, account: ServerAccount, alive: LockedFile) -> None:
        """Makes the cluster beside its place and renames it there: it is whole or absent."""
        unfinished = self._home / "cluster.new"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        files.make_owned(unfinished, account)
        made = account.run(
            [
                binaries / "initdb", "-D", unfinished, "-U", files.ADMIN_ROLE, "-A", "peer",
                "-E", "UTF8", "--no-locale", "--no-instructions", "--data-checksums",
            ],
            timeout_s=_INITDB_TIMEOUT_S,
            keep_open=(alive.fd,),
        )  # fmt: skip
        if made.returncode != 0:
            raise RunnerError(f"The embedded database could not be created: {_last_line(made.stderr)}.")
        (self._home / "ready").unlink(missing_ok=True)
        unfinished.rename(self._cluster)

    def _make_first_database(self) -> None:
        """Roles and database, repeatable until its marker is written last."""
        self._make_roles()
        with self._connect(self.admin_dsn) as connection:
            make_database(connection, DATABASE)
        (self._home / "ready").touch(mode=0o600)

    def _make_roles(self) -> None:
        with self._connect(self.admin_dsn) as connection:
            make_roles(connection)

    def _clear_stale(self, cluster: Path, sockets: Path) -> None:
        """Removes a pid file that names a live program which is not the server.

        PostgreSQL would take that program for itself and refuse to start. A pid file that names nobody
        stays: the server finds its abandoned shared memory through it.
        """
        pid_file = cluster / "postmaster.pid"
        pid = pid_in(pid_file)
        if pid is None or not is_alive(pid):
            return
        if (sitting := sitting_in(cluster)) is not None:
            raise RunnerError(
                f"Another database server (process {sitting}) already runs on {cluster}; stop it first."
            )
        pid_file.unlink()
        for name in (f".s.PGSQL.{files.PORT}.lock", f".s.PGSQL.{files.PORT}"):
            (sockets / name).unlink(missing_ok=True)

    # -- the account, and moving for it -------------------------------------------------------------

    def _settle(self, binaries: PostgresBinaries) -> tuple[ServerAccount, PostgresBinaries]:
        """The account to run as, with programs it reaches; moves the data if that is the only way."""
        if (account := direct_account()) is not None:
            return account, binaries
        service = service_account()
        if service is not None:
            files.open_to_account(self._home, service)
            if service.reaches(binaries, self._home):
                return service, binaries
        if (account := namespace_account(binaries, self._home)) is not None:
            return account, binaries
        if service is None:
            raise no_account()
        try:
            self._fallback.mkdir(parents=True, exist_ok=True, mode=0o711)
            self._fallback.chmod(0o711)
            if not service.reaches(binaries, self._fallback):
                binaries = copy_binaries(binaries, self._fallback)
            if not service.reaches(binaries, self._home):
                move_data(self._folder, self._home, self._fallback)
                files.open_to_account(self._home, service)
        except OSError as error:
            raise RunnerError(
                f"The database account cannot reach {self._folder}, and {self._fallback} cannot be used"
                f" instead: {error.strerror}."
            ) from error
        if not service.reaches(binaries, self._home):
            raise no_account()
        return service, binaries

    # -- stopping -----------------------------------------------------------------------------------

    def _stop(self) -> None:
        with self._lock("server.lock") as alive:
            for how, timeout_s in ((signal.SIGINT, _STOP_TIMEOUT_S), (signal.SIGQUIT, _STOP_NOW_TIMEOUT_S)):
                if alive.try_exclusive():
                    return
                pid = pid_in(self._cluster / "postmaster.pid")
                if pid is not None and sits_in(pid, self._cluster):
                    os.kill(pid, how)
                if alive.wait_exclusive(timeout_s):
                    return
        raise RunnerError(f"The embedded database in {self._folder} did not stop within 20 s.")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it gave no reason"
