"""What `serve` does once the command line is read: everything up in order, and down again in reverse."""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec
import structlog

from actors.demo_source import DemoSource, demo_source
from actors.launch import demo_service, installation, live_service, opened_store
from core.config import Settings
from core.redact import Secret
from facade.app import build_app
from facade.live import LiveRunner
from facade.secrets import load_or_create
from facade.server import listen, serve


class ServeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for beyond the settings."""

    demo: bool
    data: Path | None
    speed: float
    once: bool


def run(settings: Settings, request: ServeRequest) -> None:
    """Serve until SIGTERM or SIGINT; raises RunnerError for what cannot be."""
    _set_up_logging(settings)
    log = structlog.get_logger()
    ended = threading.Event()
    with ExitStack() as stack:
        listening = stack.enter_context(listen(settings.host, settings.port))
        port = listening.getsockname()[1]
        folder = Path(settings.runner_data_dir)
        source = None
        if request.demo:
            _say("Preparing the demo's candles …")
            source = demo_source(request.data, folder, settings)
            folder = folder / "demo" / _folder_of(source)
        _say("Starting the database …" if settings.database_url is None else "Connecting to the database …")
        database = stack.enter_context(installation(settings, folder))
        store = stack.enter_context(opened_store(settings, database.dsn))
        if database.alone:
            store.free_leases()

        def sink(action: str, fields: Mapping[str, object]) -> None:
            log.warning(action, **fields)

        if source is not None:
            service = demo_service(
                settings,
                store,
                database.dsn,
                source.candles,
                sink,
                speed=request.speed,
                on_data_end=ended.set,
            )
        else:
            service = live_service(settings, store, database.dsn, sink)
        service.start()
        stack.callback(service.stop)
        runner = LiveRunner(service, store, speed=request.speed if request.demo else None)
        secret = (
            Secret(load_or_create(Path(settings.runner_data_dir), "jwt_secret")) if request.demo else None
        )
        app = build_app(runner, settings, demo_secret=secret)
        _say(f"Candles: {service.origin}.")
        _say(f"Open http://{settings.host}:{port}/ — stop with Ctrl-C.")
        # The actor system down for good ends the process, so that whoever supervises us starts us anew.
        serve(app, listening, stop_with=service.on_failure)


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
