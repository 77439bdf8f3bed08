"""A process older than the installation allows serves reads, trades nothing, and says why (invariants §7)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from actors.launch import live_service
from core.risk import RiskLimits
from core.version import VERSION
from facade.settings_file import load_settings
from schema.pg import PgStore
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["admin", "copies", "database", "database_url", "template_database"]


@pytest.mark.parametrize(
    ("minimum", "trades"), [(None, True), (VERSION, True), ("0.0.9", True), ("99.0", False)]
)
def test_a_process_below_the_minimum_version_runs_no_scheduler(
    database: Database, tmp_path: Path, minimum: str | None, trades: bool
) -> None:
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute("UPDATE platform_settings SET minimum_version = %s", [minimum])
    told: list[tuple[str, Mapping[str, object]]] = []
    store = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test")
    settings = load_settings(
        environ={"ENABLE_STRATEGY_RUNNER": "true", "RUNNER_DATA_DIR": str(tmp_path), "WORKER_ID": "test"}
    )
    try:
        service = live_service(
            settings, store, database.service_dsn, lambda action, fields: told.append((action, fields))
        )
        assert ("scheduler" in service.ready()) is trades
        assert [action for action, _ in told] == ([] if trades else ["too_old"])
        assert service.stop()
    finally:
        store.close()
