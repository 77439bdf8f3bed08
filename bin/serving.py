"""What `serve` does once the command line is read: everything up in order, and down again in reverse."""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec
import structlog

from actors.demo import Demo, demo_of, start_over
from actors.demo_source import DemoSource, demo_source
from actors.launch import demo_service, installation, live_service, opened_store
from actors.service import Service
from core.config import Settings
from core.redact import Secret
from facade.app import build_app
from facade.live import LiveRunner
from facade.routes.pages import page_routes
from facade.secrets import load_or_create
from facade.server import listen, serve
from schema.pg import PgStore

STOP_ROUNDS_S = 5.0


class ServeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for beyond the settings."""

    demo: bool
    data: Path | None
    speed: float
    once: bool


def run(settings: Settings, request: ServeRequest) -> None:
    """Serve until SIGTERM or SIGINT; raises RunnerError for what cannot be."""
    _set_up_logging(settings)
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
        _say("Starting the database …" if settings.database_url is None else "Connecting to the database …")
        database = stack.enter_context(installation(settings, folder))
        store = stack.enter_context(opened_store(settings, database.dsn))
        if database.alone:
            store.free_leases()
        if demo is None:
            service = live_service(settings, store, database.dsn, _sink)
            service.start()
            stack.callback(service.stop)
            runner = LiveRunner(service, store, speed=None)
            secret = None
            stop_with: Callable[[Callable[[], None]], None] = service.on_failure
        else:
            playing = DemoPlay(settings, request, store, database.dsn, demo)
            stack.callback(playing.stop)
            runner, stop_with = playing.runner, playing.on_end
            secret = Secret(load_or_create(Path(settings.runner_data_dir), "jwt_secret"))
        app = build_app(runner, settings, demo_secret=secret, pages=page_routes(runner, store.reads))
        _say(f"Candles: {runner.origin}.")
        _say(f"Open {address} — stop with Ctrl-C.")
        serve(app, listening, stop_with=stop_with)


class DemoPlay:
    """A demo's rounds: when the candles end, the service is taken down, rows start over, and a new one goes on."""

    def __init__(
        self, settings: Settings, request: ServeRequest, store: PgStore, dsn: str, demo: Demo
    ) -> None:
        self._settings = settings
        self._request = request
        self._store = store
        self._dsn = dsn
        self._demo = demo
        self._ended = threading.Event()
        self._closing = False
        self._stop_server: Callable[[], None] = lambda: None
        self._service = self._play()
        self.runner = LiveRunner(self._service, store, speed=request.speed)
        self._rounds = threading.Thread(target=self._go_on, name="demo-rounds", daemon=True)
        self._rounds.start()

    def on_end(self, stop_server: Callable[[], None]) -> None:
        """What ends the server: the end of the data with --once, or the actor system down for good."""
        self._stop_server = stop_server
        self._service.on_failure(stop_server)

    def stop(self) -> None:
        self._closing = True
        self._ended.set()
        self._rounds.join(STOP_ROUNDS_S)
        self._service.stop()

    def _play(self) -> Service:
        service = demo_service(
            self._settings,
            self._store,
            self._dsn,
            self._demo,
            _sink,
            speed=self._request.speed,
            on_data_end=self._ended.set,
        )
        service.start()
        return service

    def _go_on(self) -> None:
        while self._ended.wait() and not self._closing:
            self._ended.clear()
            if self._request.once:
                _say("The candles have ended.")
                self._stop_server()
                return
            _say("The candles have ended; the demo starts over with fresh portfolios.")
            round_ = self._demo.source.round_of(self._service.market_now()) + 1
            self._service.stop()
            start_over(self._store, self._demo, round_)
            self._service = self._play()
            self._service.on_failure(self._stop_server)
            self.runner.replace(self._service)


def _sink(action: str, fields: Mapping[str, object]) -> None:
    structlog.get_logger().warning(action, **fields)


def _folder_of(source: DemoSource) -> str:
    """A database of its own for each set of candles: two demos never mix their market times."""
    return f"{source.kind}-{hashlib.sha256(source.key.encode()).hexdigest()[:10]}"


def _set_up_logging(settings: Settings) -> None:
    json = settings.log_format == "json"
    level = logging.getLevelNamesMapping()[settings.log_level]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
