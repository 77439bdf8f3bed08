"""Commands against a real service: the application over a real database, on a port of this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from core.redact import Secret
from core.risk import RiskLimits
from facade.app import build_app
from facade.server import listen, server
from schema.pg import PgStore
from tests.facade.world import SECRET, START, WORKER, SmallRunner, make_settings
from tests.schema.conftest import (
    Database,
    admin,
    copies,
    database,
    database_url,
    empty_database,
    open_folder,
    template_database,
)

__all__ = [
    "admin",
    "copies",
    "database",
    "database_url",
    "empty_database",
    "open_folder",
    "template_database",
]

STOP_TIMEOUT_S = 10.0


@pytest.fixture
def runner(database: Database) -> Iterator[SmallRunner]:
    store = PgStore(database.service_dsn, default_limits=RiskLimits(), worker=WORKER, pool_size=4)
    store.mark_demo(start=START - timedelta(minutes=1), rate=1.0)
    store.set_clock(at=START, ceiling=START)
    yield SmallRunner(store)
    store.close()


@pytest.fixture
def service(runner: SmallRunner, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallRunner]:
    """A service on HOST and PORT of the environment, which also holds its secret."""
    listening = listen("127.0.0.1", 0)
    monkeypatch.setenv("HOST", "127.0.0.1")
    monkeypatch.setenv("PORT", str(listening.getsockname()[1]))
    monkeypatch.setenv("JWT_SECRET", SECRET)
    served = server(build_app(runner, make_settings(), demo_secret=Secret(SECRET)))
    thread = threading.Thread(target=lambda: asyncio.run(served.serve(sockets=[listening])), daemon=True)
    thread.start()
    yield runner
    served.should_exit = True
    thread.join(STOP_TIMEOUT_S)
    assert not thread.is_alive()
