"""A recorder that cannot go on ends its recording with a reason, and nothing else."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np

from actors.recording import tape as tapes
from actors.recording.entries import FORMAT, Header
from actors.recording.recording import Recording
from actors.recording.tape import Outside, Tape
from actors.recording.writer import FEW_CANDLES, HEADER, MAX_ALL_BYTES, MAX_BYTES, Writer, make_room
from actors.system import Options
from core.candles import COLUMNS, CandleColumns
from core.ids import NodeId
from core.risk import RiskLimits
from schema.memory import MemoryStore
from schema.snapshot import read_snapshot
from schema.witness import witness
from tests.actors.candles import START
from tests.actors.recording.demo_day import WallClock


def header() -> Header:
    return Header(
        format=FORMAT,
        at=START,
        options=Options(node=NodeId("node"), version="1", worker="node"),
        origin="none",
        venues=("binance",),
        holds_future=True,
        markets={},
        finest={},
        funding={},
        rules={},
        snapshot=read_snapshot(MemoryStore(WallClock(), RiskLimits()), RiskLimits(), lambda: 0.0),
        beside=(),
    )


def test_beyond_its_bound_the_tape_ends_and_whoever_appends_goes_on() -> None:
    said: list[str] = []
    tape = Tape(WallClock(), said.append)
    for _ in range(tapes.MAX_WAITING + 5):
        tape.append(Outside("runs", object()))
    assert len(tape.waiting) == tapes.MAX_WAITING
    assert said == [f"the writer was {tapes.MAX_WAITING} entries behind"]
    assert not tape.on
    turn = tape.begin("run:x", 1, object())
    tape.end(turn, None)
    assert len(tape.waiting) == tapes.MAX_WAITING


def test_a_disk_that_fails_ends_the_recording_with_its_reason(tmp_path: Path) -> None:
    ended = threading.Event()
    said: list[str] = []
    clock = WallClock()

    def on_end(why: str) -> None:
        said.append(why)
        ended.set()

    tape = Tape(clock, on_end)
    writer = Writer(tmp_path / "recording", header(), tape, clock)
    shutil.rmtree(tmp_path / "recording")
    tape.came_back("market_data/1/1", CandleColumns(np.ones((len(COLUMNS), FEW_CANDLES + 1))), None)
    assert ended.wait(10)
    assert said[0].startswith("FileNotFoundError")
    assert not tape.on
    assert not writer.close(None, ())


def test_a_store_call_that_does_not_end_holds_others_up_briefly_and_both_are_marked() -> None:
    tape = Tape(WallClock(), lambda why: None)
    begun, over = threading.Event(), threading.Event()

    def hang() -> None:
        with tape.doing("risk_ledger/1/1"):
            begun.set()
            assert over.wait(30)

    hanging = threading.Thread(target=hang)
    hanging.start()
    assert begun.wait(10)
    with tape.doing("scheduler/1/1") as second:
        witness.saw(START)
    with tape.doing("scheduler/1/2") as third:
        pass
    over.set()
    hanging.join(10)
    with tape.doing("scheduler/1/3") as fourth:
        pass
    first = tape.waiting[0]
    assert isinstance(first, tapes.Deed)
    assert [deed.late for deed in (first, second, third, fourth)] == [True, True, True, False]
    assert (first.times, second.times, witness.times) == ([], [START], None)


def test_the_oldest_recordings_make_room(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        (tmp_path / name).mkdir()
        with (tmp_path / name / HEADER).open("wb") as file:
            file.truncate((MAX_ALL_BYTES - MAX_BYTES) // 2)  # sparse: takes no disk
    make_room(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]


def test_an_empty_recording_is_whole(tmp_path: Path) -> None:
    tape = Tape(WallClock(), lambda why: None)
    assert Writer(tmp_path / "recording", header(), tape, WallClock()).close(None, ("other",))
    end = Recording(tmp_path / "recording").end
    assert end is not None
    assert (end.entries, end.shared_with, end.problem) == (0, ("other",), None)
