"""No test sees the actors of another: a world on the deterministic dispatcher is just dropped at its end.

A database for the few that need PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pykka import ActorRegistry

from actors.runtime import registry
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["Database", "admin", "copies", "database", "database_url", "template_database"]


@pytest.fixture(autouse=True)
def no_actor_of_another_test() -> Iterator[None]:
    yield
    for ref in ActorRegistry.get_all():
        registry.strike(ref)
