"""`bin/runner simulator`: what it prints, and what it refuses in a sentence. Its faces: tests/exchanges/simulator/."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from bin.commands.main import main
from bin.tether import tether, tethered

ROOT = Path(__file__).resolve().parents[2]
BINANCE = ["simulator", "--venue", "binance"]


def test_it_says_how_to_point_the_runner_at_it_and_ends_cleanly_by_interrupt() -> None:
    command = tethered("bin.commands", *BINANCE, "--port", "0")
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=tether(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as in a shell's background
    )
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=10)
    finally:
        process.kill()
    text = "".join(lines)
    assert "export BINANCE_BASE_URL=http://127.0.0.1:" in text
    assert "export BINANCE_WS_URL=ws://127.0.0.1:" in text
    assert "API key" in text
    assert (process.returncode, complaints) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--key", "only"], "--key and --secret belong together."),
        (["--balance", "lots"], "is no amount of USDT"),
        (["--at", "noon"], "is no time such as"),
        (["--tape", "nothing-BTCUSDT.csv"], "cannot be read"),
        (["--tape", "candles.csv"], "holds no symbol"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*BINANCE, "--port", "0", *arguments]) == 1
    assert sentence in capsys.readouterr().err


def test_a_port_in_use_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main([*BINANCE, "--port", str(taken.getsockname()[1])]) == 1
    assert "cannot start" in capsys.readouterr().err
