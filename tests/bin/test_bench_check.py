"""The short benchmarks beside their baseline: only a regression to four times counts, and only one seen twice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from bin.commands.bench_check import BASELINE, REWRITE_RUNS, TIMES, Baseline, Part, check, rewrite
from core.errors import RunnerError


class Scripted:
    """A benchmark whose ratios are known beforehand, one answer a run."""

    def __init__(self, *answers: Mapping[str, float]) -> None:
        self._answers = list(answers)
        self.runs = 0

    def __call__(self) -> Mapping[str, float]:
        self.runs += 1
        return self._answers.pop(0)


def baseline(tmp_path: Path, **ratios: float) -> Path:
    file = tmp_path / "baseline.json"
    file.write_bytes(msgspec.json.encode(Baseline(measured="2026-01-01", machine="any", ratios=ratios)))
    return file


def one(part: Part) -> Mapping[str, Part]:
    return {"part": part}


@pytest.mark.parametrize(
    ("first", "again", "ratio", "ok", "runs"),
    [
        (2.0, None, 2.0, True, 1),
        (0.1, None, 0.1, True, 1),
        (TIMES * 2, None, 8.0, True, 1),
        (8.01, 3.0, 3.0, True, 2),
        (9.0, 8.01, 8.01, False, 2),
        (9.0, 90.0, 9.0, False, 2),
    ],
)
def test_a_ratio_counts_as_too_slow_when_it_is_so_twice(
    tmp_path: Path, first: float, again: float | None, ratio: float, ok: bool, runs: int
) -> None:
    part = Scripted({"a": first}, *([] if again is None else [{"a": again}]))
    [row] = check(one(part), baseline(tmp_path, a=2.0))
    assert (row.ratio, row.ok, part.runs) == (ratio, ok, runs)


def test_only_the_part_that_was_too_slow_is_measured_again(tmp_path: Path) -> None:
    well, slow = Scripted({"a": 1.0}), Scripted({"b": 9.0, "c": 1.0}, {"b": 1.5, "c": 1.2})
    rows = check({"well": well, "slow": slow}, baseline(tmp_path, a=1.0, b=1.0, c=1.0))
    assert [(row.figure, row.ratio) for row in rows] == [("a", 1.0), ("b", 1.5), ("c", 1.0)]
    assert (well.runs, slow.runs) == (1, 2)


@pytest.mark.parametrize("ratios", [{"a": 1.0, "gone": 1.0}, {}])
def test_baseline_and_figures_name_the_same(tmp_path: Path, ratios: dict[str, float]) -> None:
    with pytest.raises(RunnerError, match="--rewrite"):
        check(one(Scripted({"a": 1.0})), baseline(tmp_path, **ratios))


@pytest.mark.parametrize("text", [None, "{}", "nonsense"])
def test_without_a_readable_baseline_a_sentence_says_how_to_write_one(
    tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "baseline.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RunnerError, match="--rewrite"):
        check(one(Scripted({"a": 1.0})), file)


def test_the_baseline_is_the_median_of_a_few_runs_and_is_met_by_them(tmp_path: Path) -> None:
    file, answers = tmp_path / "baseline.json", [{"a": 3.0}, {"a": 1.0}, {"a": 2.0}]
    assert len(answers) == REWRITE_RUNS
    written = rewrite(one(Scripted(*answers)), file, datetime(2026, 3, 1, tzinfo=UTC))
    assert (written.measured, written.ratios) == ("2026-03-01", {"a": 2.0})
    assert [row.ok for row in check(one(Scripted({"a": 3.0})), file)] == [True]


def test_the_committed_baseline_is_readable_and_covers_every_part() -> None:
    committed = msgspec.json.decode(BASELINE.read_bytes(), type=Baseline)
    assert {figure.partition(".")[0] for figure in committed.ratios} == {"fanout", "replay", "runtime"}
    assert all(ratio > 0 for ratio in committed.ratios.values())
