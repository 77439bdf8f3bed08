"""A connection's life at DEBUG, and everything that is said on the way."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator

import psycopg
import pytest
import structlog
from psycopg import sql
from starlette.testclient import TestClient

from bin.logging_setup import set_up_logging
from tests.facade.world import as_user, make_settings

ANN = as_user("ann")


@pytest.fixture
def structured_logs() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def say_all(caplog: pytest.LogCaptureFixture) -> None:
    """Down to DEBUG, from within the test: what is set up before it is heard by nobody."""
    set_up_logging(make_settings(LOG_LEVEL="DEBUG"))
    caplog.set_level(logging.DEBUG)


class Life:
    """Everything that is said on the way, with where it was said."""

    def __init__(self, http: TestClient) -> None:
        self.http = http
        self.said: list[tuple[str, str]] = []

    def ask(self, method: str, path: str, expected: int, **body: object) -> dict[str, object]:
        answer = self.http.request(method, f"/api/connections{path}", headers=ANN, **body)  # type: ignore[arg-type]
        assert answer.status_code == expected, answer.text
        self.said.append((f"{method} {path}", f"{answer.headers}\n{answer.text}"))
        told: dict[str, object] = answer.json()
        return told

    def note_dump(self, dsn: str) -> None:
        """All rows of all tables as text."""
        tables = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 2"
        with psycopg.connect(dsn) as connection:
            for names in connection.execute(tables).fetchall():
                copying = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(*names))
                with connection.cursor().copy(copying) as rows:
                    text = b"".join(rows).decode()
                self.said.append((f"table {names[1]}", text))

    def note_error(self, error: BaseException) -> None:
        """As a careless log would write it, with the variables of each frame of the program."""
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        self.said.append((type(error).__name__, "".join(shown.format())))
