"""Seeds as the command plays them: short ones by the hundred, and one seed the same wherever it is played."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.simulation.faults import FEED, HAPPENINGS, PLACE, READ, Faults
from actors.simulation.world import MIDNIGHT, World
from bin.tether import tether, tethered

ROOT = Path(__file__).resolve().parents[3]
SHORT = ("--days", "0.03", "--users", "1")


def simulate(*arguments: str, hash_seed: str = "0") -> dict[str, Any]:
    """What the command answers with `--json`; it must end well."""
    done = subprocess.run(
        tethered("bin.commands", "simulate", "--json", *arguments),
        stdin=tether(),
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = msgspec.json.decode(done.stdout)
    return answer


def test_two_hundred_short_seeds_break_no_invariant() -> None:
    """I1–I11, I15–I17, I20 under faults around midnight, then a calm in which nothing may be owed."""
    answer = simulate("--seed", "1", "--count", "200", "--jobs", "2", *SHORT)
    assert answer["violations"] == []
    assert answer["seeds"] == len(answer["hashes"]) == len(set(answer["hashes"].values())) == 200
    assert answer["orders"] > 1_000
    assert answer["happenings"] > 200


def test_a_seed_gives_one_hash_in_every_process_whatever_strings_hash_to() -> None:
    first, second = (simulate("--seed", "4", "--days", "0.1", hash_seed=each) for each in ("1", "2"))
    assert first["hashes"] == second["hashes"]
    assert first["steps"] == second["steps"]


def test_a_trace_changes_nothing_and_tells_each_commit() -> None:
    lines: list[str] = []
    traced = World(5, days=0.03, users=1, trace=lines.append).play()
    assert traced.hash == World(5, days=0.03, users=1).play().hash
    assert {"claimed", "intent", "sent", "fill", "tick"} <= {line.split()[2] for line in lines}


@pytest.mark.parametrize("seed", range(20))
def test_midnight_lies_inside_every_seed(seed: int) -> None:
    world = World(seed, days=0.1, users=1)
    assert world.start < MIDNIGHT < world.ceased < world.end


def test_no_fault_is_drawn_once_faults_have_ceased() -> None:
    world = World(1, days=0.03, users=1)
    faults = world.faults
    drawn = {faults.place() for _ in range(2_000)} | {faults.read() for _ in range(500)}
    drawn |= {faults.feed() for _ in range(2_000)} | {faults.happening() for _ in range(2_000)}
    assert drawn - {None} == {*PLACE, *READ, *FEED, *HAPPENINGS}
    faults.on = False
    assert not any(draw() for draw in _draws(faults) for _ in range(500))


def _draws(faults: Faults) -> tuple[Any, ...]:
    return (
        faults.place,
        faults.read,
        faults.feed,
        faults.happening,
        faults.store_delay_s,
        lambda: faults.store("settle"),
    )
