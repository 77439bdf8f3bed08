"""One zygote for the tests of a process: it starts in half a second, its workers in a millisecond."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.sandbox.host import Limits, Zygote

WALL_S = 2.0


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    started = Zygote(Limits(wall_s=WALL_S))
    yield started
    started.close()
