"""A process that is armed strikes itself once for each time it was armed."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from bin.drill.gaps import Armed, Blow, Gap, Gaps, arm
from core.ids import RunId

RUN = RunId(UUID(int=1))
ARMED = Armed(gap=Gap.COMMITTED, blow=Blow.FREEZE, runs=frozenset({RUN}), legs=frozenset({"entry"}))


def test_a_thread_that_read_what_another_struck_for_strikes_not_again(tmp_path: Path) -> None:
    """It would stand still again once it was let go on, and nobody would wake it."""
    file = tmp_path / "node.gap"
    gaps = Gaps(file)
    arm(file, ARMED)
    read = file.read_bytes()
    assert gaps.reached(Gap.COMMITTED, [RUN], "entry") is not None
    file.unlink()
    assert gaps.reached(Gap.COMMITTED, [RUN], "entry") is None
    file.write_bytes(read)
    assert gaps.reached(Gap.COMMITTED, [RUN], "entry") is None


def test_what_is_armed_alike_again_strikes_again(tmp_path: Path) -> None:
    file = tmp_path / "node.gap"
    gaps = Gaps(file)
    for _ in range(2):
        arm(file, ARMED)
        assert gaps.reached(Gap.COMMITTED, [RUN], "exit") is None
        assert gaps.reached(Gap.COMMITTED, [RUN], "entry") is not None
