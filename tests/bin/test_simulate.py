"""`simulate`: one JSON document, and what a broken invariant says, with the command that plays it again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import typer

from actors.simulation.checks.findings import Finding
from actors.simulation.world import SeedResult
from bin.commands.simulate_seeds import Asked, PlaySeed, play, play_seed
from core.errors import RunnerError

ASKED = Asked(seed=7, count=3, days=0.5, users=2, jobs=1, minutes=None, trace=None)
FOUND = Finding(invariant="I7", at="2026-03-10 00:00:01", sentence="ann: 3 trades, at most 2 are allowed")


def result(seed: int, found: list[Finding]) -> SeedResult:
    return SeedResult(
        seed=seed, hash=f"hash{seed}", steps=10, happenings=2, orders=4, fills=3, found=found, last_at=""
    )


def breaking_at(broken: int) -> PlaySeed:
    return lambda seed, days, users, trace=None: result(seed, [FOUND] if seed == broken else [])


def test_seeds_that_break_nothing_are_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    play(ASKED, json=True, played=breaking_at(0))
    answer = msgspec.json.decode(capsys.readouterr().out)
    assert answer.pop("seconds") >= 0
    assert answer == {
        "seeds": 3,
        "firstSeed": 7,
        "lastSeed": 9,
        "days": 0.5,
        "violations": [],
        "hashes": {"7": "hash7", "8": "hash8", "9": "hash9"},
        "steps": 30,
        "orders": 12,
        "happenings": 6,
    }


def test_a_broken_invariant_ends_it_with_exit_code_1_and_how_to_play_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as ended:
        play(ASKED, json=True, played=breaking_at(8))
    assert ended.value.exit_code == 1
    told = capsys.readouterr()
    answer = msgspec.json.decode(told.out)
    assert answer["seeds"] == 2, "the seeds after it are not played"
    replay = "bin/runner simulate --seed 8 --days 0.5 --users 2"
    assert answer["violations"] == [
        {"seed": 8, "at": FOUND.at, "invariant": "I7", "sentence": FOUND.sentence, "replay": replay}
    ]
    assert f"Seed 8, {FOUND.at}: I7 is broken: {FOUND.sentence}." in told.err
    assert f"Play it again: {replay} --trace FILE" in told.err


def test_a_trace_follows_one_seed(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    with pytest.raises(RunnerError, match="one seed"):
        play(msgspec.structs.replace(ASKED, trace=file), json=True)
    play(msgspec.structs.replace(ASKED, trace=file, count=1, days=0.01, users=1), json=True)
    assert "claimed" in file.read_text()


def test_forever_ends_after_its_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    play(msgspec.structs.replace(ASKED, count=None, minutes=0.0), json=True, played=breaking_at(0))
    assert msgspec.json.decode(capsys.readouterr().out)["seeds"] == 0


def test_an_exception_nobody_foresaw_is_a_finding_of_its_seed() -> None:
    def full(line: str) -> None:
        raise OSError("no space left")

    [finding] = play_seed(1, 0.01, 1, full).found
    assert finding.invariant == "error"
    assert finding.sentence.startswith("OSError: no space left (test_simulate.py:")
