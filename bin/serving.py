"""What `serve` does once the command line is read: everything up in order, and down again in reverse."""

from __future__ import annotations

import hashlib
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from types import FrameType

import msgspec
import structlog

from actors.demo import Demo, demo_of
from actors.demo_source import DemoSource, demo_source
from actors.key_probe import keys_of
from actors.launch import (
    demo_service,
    forget_dead_nodes,
    installation,
    live_service,
    next_round,
    open_demo,
    opened_store,
    venue_addresses,
)
from actors.sandbox.configured import limits_of
from actors.service import Service
from actors.system import Parts
from bin.logging_setup import log_access, log_error, log_report, set_up_logging
from core.config import Settings
from core.errors import RunnerError
from core.live_settings import LiveSettings
from core.redact import Secret
from facade.app import build_app
from facade.live import LiveRunner
from facade.routes.pages import page_routes
from facade.secrets import load_or_create, sealing_keys
from facade.server import listen, serve
from facade.work.manager import Workers
from schema.locked_files import LockedFile
from schema.pg import PgStore
from schema.vault import Vault

STOP_ROUNDS_S = 5.0
NOTICE_S = 5.0
"""In production: how long a process that was asked to end answers on, `/readyz` with 503."""
ROWS_TURN_S = 60.0
"""How long to wait while another process makes the demo's rows."""


class ServeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for beyond the settings."""

    demo: bool
    data: Path | None
    speed: float
    once: bool
    around: Callable[[Parts], Parts] = lambda parts: parts
    """What a drill has a demo's parts wrapped in."""


def run(settings: Settings, request: ServeRequest) -> None:
    """Serve until SIGTERM or SIGINT; raises RunnerError for what cannot be."""
    set_up_logging(settings)
    settings = _named(settings)
    ending = Ending()
    signal.signal(signal.SIGTERM, ending.on_signal)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(settings.host, settings.port))
        address = f"http://{settings.host}:{listening.getsockname()[1]}/"
        folder = Path(settings.runner_data_dir)
        demo = None
        if request.demo:
            _say("Preparing the demo's candles …")
            found = demo_source(request.data, folder, settings)
            demo = demo_of(found.candles)
            folder = folder / "demo" / _folder_of(found)
        ending.leave_if_asked()
        _say("Starting the database …" if settings.database_url is None else "Connecting to the database …")
        database = stack.enter_context(installation(settings, folder))
        ending.leave_if_asked()
        store = stack.enter_context(opened_store(settings, database.dsn))
        live = live_settings(settings, store)
        settings = live.now
        vault = vault_of(settings)
        if database.alone:
            store.free_leases()
            forget_dead_nodes(store)
        if demo is None:
            service = live_service(settings, store, database.dsn, log_report, vault, live)
            service.start()
            stack.callback(service.stop)
            service.on_failure(ending.fail)
            runner = LiveRunner(service, store, speed=None)
            secret = None
        else:
            rows_turn = folder / "demo-rows.lock"
            playing = DemoPlay(settings, request, store, database.dsn, demo, ending, rows_turn, vault, live)
            stack.callback(playing.stop)
            runner = playing.runner
            secret = Secret(load_or_create(Path(settings.runner_data_dir), "jwt_secret"))
        ending.leave_if_asked()
        # A demo never speaks to a venue itself, so it takes no keys of one either.
        out_of_reach = demo is not None and not venue_addresses(settings)
        workers = Workers(
            store.jobs,
            dsn=database.dsn,
            worker=settings.worker_id or "runner",
            rest={venue.value: address.rest for venue, address in venue_addresses(settings).items()},
            sandbox=limits_of(settings),
        )
        workers.start()
        stack.callback(workers.stop)
        app = build_app(
            runner,
            settings,
            demo_secret=secret,
            pages=page_routes(runner, store.reads),
            access_log=log_access,
            error_log=log_error,
            keys=None if vault is None or out_of_reach else keys_of(store, vault, venue_addresses(settings)),
            job_added=workers.poke,
            vault=vault,
            live=live,
        )
        _say(f"Candles: {runner.origin}.")
        _say(f"Open {address} — stop with Ctrl-C.")
        serve(app, listening, stop_with=ending.stop_with, before_exit=lambda: _stand_down(runner, settings))
    if ending.failure is not None:
        raise RunnerError(ending.failure)


def _stand_down(runner: LiveRunner, settings: Settings) -> None:
    """Not ready any more, for long enough that whoever spreads the requests has seen it; the runs go to others."""
    began_s = monotonic()
    runner.stand_down()
    notice_s = NOTICE_S if settings.environment == "production" else 0.0
    sleep(max(0.0, notice_s - (monotonic() - began_s)))


def live_settings(given: Settings, store: PgStore) -> LiveSettings:
    """What is in force, kept so: with what administrators have changed, now and from here on."""
    live = LiveSettings(given, store.config.overrides())
    live.on_change(lambda now: store.use_limits(now.risk_limits()))
    live.on_change(set_up_logging)
    return live


def vault_of(settings: Settings) -> Vault | None:
    """What opens the keys of connections; None where no master keys are set, so that only paper is traded."""
    masters = sealing_keys(settings)
    return None if masters is None else Vault(masters, os.urandom)


class Ending:
    """What ends the server; may be asked for before the server is up, from any thread."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self._asked = False
        self._lock = threading.RLock()  # a signal may come while its thread holds it
        self._stop_server: Callable[[], None] | None = None

    def stop_with(self, stop_server: Callable[[], None]) -> None:
        with self._lock:
            self._stop_server = stop_server
            asked = self._asked
        if asked:
            stop_server()

    def ask(self) -> None:
        with self._lock:
            self._asked = True
            stop_server = self._stop_server
        if stop_server is not None:
            stop_server()

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM at any time: down in order (I16). The server hands the signal on here once it has stopped itself.

        Before it is up the signal is noted: to break off a start wherever it is would leave behind what has just begun.
        """
        signal.signal(
            number, signal.SIG_IGN
        )  # every step of the stop is bounded; a second must not cut it short
        self.ask()

    def leave_if_asked(self) -> None:
        """Between two steps of the start."""
        if self._asked and self.failure is None:
            raise SystemExit(0)

    def fail(self, why: str = "The actor system failed and has been stopped; the log says why.") -> None:
        """The process ends with exit code 1, so that whoever keeps it up starts it again."""
        self.failure = self.failure or why
        self.ask()


class DemoPlay:
    """A demo's rounds: when the candles end, the service is taken down, rows start over, and a new one goes on."""

    def __init__(
        self,
        settings: Settings,
        request: ServeRequest,
        store: PgStore,
        dsn: str,
        demo: Demo,
        ending: Ending,
        rows_turn: Path,
        vault: Vault | None,
        live: LiveSettings,
    ) -> None:
        """`rows_turn`: a file to lock while rows of the demo are made."""
        self._settings = settings
        self._request = request
        self._store = store
        self._dsn = dsn
        self._demo = demo
        self._ending = ending
        self._rows_turn = rows_turn
        self._vault = vault
        self._live = live
        self._over: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._closing = False
        with self._turn():
            self._round = open_demo(store, demo, speed=request.speed)
        self._service = self._play()
        self.runner = LiveRunner(self._service, store, speed=request.speed)
        self._rounds = threading.Thread(target=self._go_on, name="demo-rounds", daemon=True)
        self._rounds.start()

    def stop(self) -> None:
        self._closing = True
        self._over.put(None)
        self._rounds.join(STOP_ROUNDS_S)
        self._service.stop()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            self._rows_turn.parent.mkdir(parents=True, exist_ok=True)
            turn = LockedFile(self._rows_turn)
        except OSError as error:
            raise RunnerError(
                f"The data directory {self._rows_turn.parent} cannot be written: {error.strerror}."
            ) from error
        with turn as lock:
            if not lock.wait_exclusive(ROWS_TURN_S):
                raise RunnerError(f"Another process has held {self._rows_turn} for {ROWS_TURN_S:.0f} s.")
            yield

    def _play(self) -> Service:
        round_ = self._round
        service = demo_service(
            self._settings,
            self._store,
            self._dsn,
            self._demo,
            log_report,
            round_=round_,
            on_data_end=lambda: self._over.put(round_),
            vault=self._vault,
            around=self._request.around,
            live=self._live,
        )
        service.start()
        service.on_failure(self._ending.fail)
        return service

    def _go_on(self) -> None:
        while (round_ := self._over.get()) is not None and not self._closing:
            if round_ != self._round:
                continue  # said again by a service on its way out
            if self._request.once:
                _say("The candles have ended.")
                self._ending.ask()
                return
            _say("The candles have ended; the demo starts over with fresh portfolios.")
            try:
                self._start_over()
            except Exception as error:
                structlog.get_logger().exception("demo_not_started_over")
                self._ending.fail(f"The demo could not start over: {error}")
                return

    def _start_over(self) -> None:
        self._service.stop()
        with self._turn():
            next_round(self._store, self._demo, self._round + 1)
        self._round += 1
        if not self._closing:
            self._service = self._play()
            self.runner.replace(self._service)


def _named(settings: Settings) -> Settings:
    """With a name for this process that no other has: runs live on one of the processes, by name."""
    name = settings.worker_id or f"{socket.gethostname()}-{os.getpid()}"
    return msgspec.structs.replace(settings, worker_id=name)


def _folder_of(source: DemoSource) -> str:
    """A database of its own for each set of candles: two demos never mix their market times."""
    return f"{source.kind}-{hashlib.sha256(source.key.encode()).hexdigest()[:10]}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
