"""One copy of the source and one PostgreSQL for all guards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guards.workshop import Workshop
from tests.schema.conftest import database_url

__all__ = ["database_url"]


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(Path(tmp_path_factory.mktemp("guards")) / "copy")
