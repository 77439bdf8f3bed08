"""Threads that decode a struct for the first time at once do not end the process."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
RACE = textwrap.dedent(
    """
    import sys, threading, msgspec
    from core.decoders import prepare_decoders

    sys.setswitchinterval(1e-6)

    def race(structs):
        barrier = threading.Barrier(4)

        def decode():
            barrier.wait()
            msgspec.convert({"f1": "2026-01-01T00:00:00Z", "f0": {"f0": {}}}, structs["A29"])

        threads = [threading.Thread(target=decode) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for _ in range(60):
        structs = {}
        source = "import msgspec\\nfrom datetime import datetime\\n"
        for number in range(30):
            source += f"class A{number}(msgspec.Struct):\\n"
            for field in range(12):
                kind = f"A{number - 1}" if number and not field else "datetime"
                source += f"    f{field}: {kind} | None = None\\n"
        exec(source, structs)
        prepare_decoders()
        race(structs)
    """
)


def test_structs_are_known_before_threads_decode_them() -> None:
    """Without the preparation this ends by a segmentation fault in the first round."""
    ended = subprocess.run([sys.executable, "-c", RACE], cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 0
