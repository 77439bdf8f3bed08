"""Lanes of checks: verdicts, whole pieces of output, and no process left behind."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bin.check_lanes import Check, Lanes

ROOT = Path(__file__).resolve().parents[2]
LINGER = """
import subprocess, sys, time
def stay(fifo):
    with open(fifo, "w", buffering=1) as told:
        print("here", file=told)
        time.sleep(30)
        print("still here", file=told)
if len(sys.argv) > 2:
    stay(sys.argv[1])
else:
    subprocess.run([sys.executable, __file__, sys.argv[1], "child"])
"""
"""A check whose child says so when it was left alone."""


def python(name: str, code: str, timeout_s: float = 60.0) -> Check:
    return Check(name, [sys.executable, "-c", code], timeout_s)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    (tmp_path / "linger.py").write_text(LINGER)
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def lingering(fifo: Path) -> list[str]:
    return [sys.executable, str(fifo.with_name("linger.py")), str(fifo)]


@pytest.mark.parametrize(
    ("code", "timeout_s", "verdict"),
    [
        ("", 60, "ok"),
        ("raise SystemExit(3)", 60, "failed, exit code 3"),
        ("import threading; threading.Event().wait()", 1, "failed, not done within 1 s"),
    ],
)
def test_a_check_ends_within_its_time_with_a_verdict(code: str, timeout_s: float, verdict: str) -> None:
    [outcome] = Lanes(io.StringIO()).run([python("x", code, timeout_s)])
    assert outcome.verdict == verdict


def test_lanes_run_side_by_side_and_a_failed_check_stops_no_other(tmp_path: Path) -> None:
    """Each of the two waits for the other's word."""
    there, back = tmp_path / "there", tmp_path / "back"
    for name in (there, back):
        os.mkfifo(name)
    first = f"open({str(there)!r}, 'w').close(); open({str(back)!r}).close(); raise SystemExit(1)"
    second = f"open({str(there)!r}).close(); open({str(back)!r}, 'w').close()"
    outcomes = Lanes(io.StringIO()).run(
        [python("a", first, 20), python("c", second, 20), python("b", "")], lanes=2
    )
    assert [(outcome.name, outcome.verdict) for outcome in outcomes] == [
        ("a", "failed, exit code 1"),
        ("c", "ok"),
        ("b", "ok"),
    ]


def test_what_a_check_wrote_stands_in_one_piece_under_its_name() -> None:
    out = io.StringIO()
    code = "import sys\nfor n in range(100): print(sys.argv[1], n); print(sys.argv[1], n, file=sys.stderr)"
    checks = [Check(name, [sys.executable, "-c", code, name], 60) for name in ("left", "right")]
    Lanes(out).run(checks, lanes=2)
    shown = out.getvalue()
    for name in ("left", "right"):
        lines = "".join(f"{name} {n}\n{name} {n}\n" for n in range(100))
        head, _, rest = shown.partition(f"== {name}: ok (")
        assert rest.partition(" s)\n")[2].startswith(lines)
        assert f"-- {name}: started\n" in head


def test_a_check_over_its_time_leaves_no_child_behind(fifo: Path) -> None:
    check = Check("x", lingering(fifo), 3)
    with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE) as reader:
        [outcome] = Lanes(io.StringIO()).run([check])
        assert outcome.verdict == "failed, not done within 3 s"
        assert reader.communicate()[0] == b"here\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_checks_leave_no_child_behind(fifo: Path, number: signal.Signals) -> None:
    code = f"""
import signal, sys
from bin.check_lanes import Check, Lanes
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started us in the background
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
Lanes(sys.stdout).run([Check("x", {lingering(fifo)!r}, 60), Check("y", ["true"], 60)])
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as checks:
        with fifo.open("rb") as told:
            assert told.readline() == b"here\n"
            checks.send_signal(number)
            assert told.read() == b""
        shown = checks.communicate()[0]
    assert checks.returncode != 0
    assert b"y: started" not in shown
