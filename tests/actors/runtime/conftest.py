from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pykka
import pytest

from tests.actors.runtime.world import KINDS, Log, World

REPEATS = int(os.environ.get("RUNNER_SUPERVISION_REPEATS", "5"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every case that takes a world runs on every dispatcher, repeatedly."""
    if "world" in metafunc.fixturenames:
        cases = [(kind, repeat) for repeat in range(REPEATS) for kind in KINDS]
        metafunc.parametrize(
            "world", cases, indirect=True, ids=[f"{kind}-{repeat}" for kind, repeat in cases]
        )


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    kind, repeat = request.param
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    throughput = getattr(request.function, "throughput", 32)
    world = World(kind, throughput=throughput, seed=repeat)
    try:
        yield world
    finally:
        world.stop()
        sys.setswitchinterval(interval)
    assert not pykka.ActorRegistry.get_all()


@pytest.fixture
def log() -> Log:
    return Log()
