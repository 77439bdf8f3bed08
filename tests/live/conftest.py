"""Everything here is marked `live`: real processes, real kills, some seconds each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.process import Serving, folder


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty data directory."""
    with folder() as made:
        yield made


@pytest.fixture(scope="module")
def used_dir() -> Iterator[Path]:
    """A data directory the tests of a module share, each starting processes of its own on it."""
    with folder() as made:
        yield made


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    """Starts processes, and leaves none behind."""
    started: list[Serving] = []

    def start(data_dir: Path, *arguments: str, **settings: str) -> Serving:
        started.append(Serving(data_dir, *arguments, **settings))
        return started[-1]

    yield start
    for serving in started:
        serving.close()
