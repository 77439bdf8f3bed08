"""Where the database of a demo under test is to be asked."""

from __future__ import annotations

from pathlib import Path

from schema.embedded import EmbeddedPostgres


def database_of(data_dir: Path) -> str:
    """The service's way into the one demo database of a data directory; a server must be running there."""
    (found,) = (data_dir / "demo").glob("*/postgres")
    return EmbeddedPostgres(found).service_dsn
