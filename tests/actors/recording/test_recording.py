"""A recording that is not whole is refused with a sentence; a killed process's is replayed as far as it goes."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pykka import ActorRegistry

from actors.recording.day import Day
from actors.recording.recording import Recording, find_recording
from core.errors import RunnerError
from tests.actors.candles import START

SEGMENT = "entries-0001.jsonl.gz"


def lines(folder: Path) -> list[bytes]:
    return gzip.decompress((folder / SEGMENT).read_bytes()).splitlines(keepends=True)


def write(folder: Path, text: list[bytes]) -> None:
    (folder / SEGMENT).write_bytes(gzip.compress(b"".join(text)))


def cut_off(folder: Path) -> None:
    path = folder / SEGMENT
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_end(folder: Path) -> None:
    write(folder, lines(folder)[:-1])


def without_a_line(folder: Path) -> None:
    write(folder, lines(folder)[:20] + lines(folder)[21:])


def with_a_digit_changed(folder: Path) -> None:
    text = lines(folder)
    at = next(index for index, line in enumerate(text) if b'"balance":"' in line)
    text[at] = text[at].replace(b'"balance":"', b'"balance":"1', 1)
    write(folder, text)


def with_a_byte_flipped(folder: Path) -> None:
    data = bytearray((folder / SEGMENT).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / SEGMENT).write_bytes(bytes(data))


def without_header(folder: Path) -> None:
    (folder / "header.json.gz").unlink()


def with_another_format(folder: Path) -> None:
    path = folder / "header.json.gz"
    path.write_bytes(
        gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"format":3', b'"format":99', 1))
    )


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (cut_off, "has no end"),
        (without_end, "has no end"),
        (without_a_line, "is damaged"),
        (with_a_digit_changed, "is damaged"),
        (with_a_byte_flipped, "is damaged|has no end"),
        (without_header, "is no recording"),
        (with_another_format, "has format 99; this program reads 3"),
    ],
)
def test_a_damaged_recording_is_refused_with_a_sentence(
    recorded: Path, tmp_path: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(recorded, copy)
    damage(copy)
    with pytest.raises(RunnerError, match=sentence):
        Recording(copy)


@pytest.mark.parametrize("damage", [cut_off, without_end])
def test_what_a_killed_process_recorded_is_replayed_as_far_as_it_goes(
    recorded: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(recorded, copy)
    damage(copy)
    verdict = Day(Recording(copy, whole=False)).play(until=START + timedelta(hours=1))
    assert verdict.identical
    assert verdict.recorded_hashes is None
    assert verdict.entries > 100
    assert not ActorRegistry.get_all(), "a replay that ends early leaves no actor behind"


def test_the_recording_that_was_running_at_a_time_is_found(recorded: Path, tmp_path: Path) -> None:
    assert find_recording(recorded) == recorded
    assert find_recording(recorded.parent, START + timedelta(hours=1)) == recorded
    with pytest.raises(RunnerError, match=r"The oldest recording in .* begins at 2026-03-10 12:00:00 UTC"):
        find_recording(recorded.parent, START - timedelta(hours=1))
    with pytest.raises(RunnerError, match="holds no recording"):
        find_recording(tmp_path)
