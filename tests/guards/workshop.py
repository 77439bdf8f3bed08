"""A copy of the source in which a guard can be taken out, and the proofs run on it as programs of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bin.tether import tether, tethered
from tests.guards.guard import Change, Guard, Seeds

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("core", "exchanges", "schema", "actors", "facade", "bin", "tests")
FILES = ("pyproject.toml",)
PROOF_TIMEOUT_S = 120.0


class GuardMoved(AssertionError):
    """The text that is the guard is not where the table says."""


class Workshop:
    """Compiled files are copied with their sources and never written, so that nobody runs yesterday's guard."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for package in PACKAGES:
            shutil.copytree(ROOT / package, folder / package)
        for file in FILES:
            shutil.copy2(ROOT / file, folder / file)

    @contextmanager
    def without(self, guard: Guard) -> Iterator[None]:
        """The copy as it is when the guard is gone."""
        try:
            for change in guard.changes:
                self._take_out(guard.name, change)
            yield
        finally:
            for change in guard.changes:
                shutil.copy2(ROOT / change.file, self.folder / change.file)

    def violations(self, seeds: Seeds) -> list[dict[str, Any]]:
        """What the simulation finds broken in the copy."""
        arguments = [
            "--seed",
            seeds.first,
            "--count",
            seeds.count,
            "--days",
            seeds.days,
            "--users",
            seeds.users,
        ]
        done = self._run("bin.commands", "simulate", *map(str, arguments), "--jobs", "1", "--json")
        assert done.returncode in (0, 1), done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)["violations"]
        assert bool(found) == bool(done.returncode)
        return found

    def tested(self, *tests: str, **environment: str) -> str | None:
        """What the tests print when one fails; None when all pass."""
        done = self._run("pytest", "-q", "-p", "no:cacheprovider", *tests, **environment)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return done.stdout if done.returncode else None

    def _take_out(self, name: str, change: Change) -> None:
        path = self.folder / change.file
        text = path.read_text()
        if (times := text.count(change.old)) != 1:
            raise GuardMoved(
                f"the guard moved: update the table ({name}: its text is {times} times in {change.file})"
            )
        path.write_text(text.replace(change.old, change.new))

    def _run(self, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            tethered(module, *arguments),
            cwd=self.folder,
            stdin=tether(),
            env={**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            text=True,
            timeout=PROOF_TIMEOUT_S,
            check=False,
        )
