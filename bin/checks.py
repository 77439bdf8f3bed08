"""Every check a change must pass: lint, types, pykka's own suite on our runtime, the tests.

Run by `bin/test`. pytest comes last and gets the arguments. A failed check does not stop the others.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER_PACKAGES = ("chromium", "fonts-dejavu-core")
APT_TIMEOUT_S = 300


class Check(NamedTuple):
    name: str
    command: list[str]
    timeout_s: int


class Outcome(NamedTuple):
    name: str
    verdict: str
    seconds: float


def main(arguments: list[str]) -> int:
    notes = provide_browser()
    python = [sys.executable, "-m"]
    checks = [
        Check("lint", [*python, "ruff", "check", "--output-format", "concise", "."], 60),
        Check("types", [*python, "mypy"], 300),
        Check("pykka's own suite", [*python, "tests.actors.runtime.upstream"], 180),
        Check("tests", [*python, "pytest", "-rs", *arguments], 900),
    ]
    outcomes = [run(check) for check in checks]
    print("\nIn short:")
    for outcome in outcomes:
        print(f"  {outcome.name}: {outcome.verdict} ({outcome.seconds:.0f} s)")
    for note in notes:
        print(f"  {note}")
    return 0 if all(outcome.verdict == "ok" for outcome in outcomes) else 1


def run(check: Check) -> Outcome:
    print(f"== {check.name}", flush=True)
    started = time.monotonic()
    try:
        code = subprocess.run(check.command, cwd=ROOT, timeout=check.timeout_s, check=False).returncode  # noqa: S603
        verdict = "ok" if code == 0 else f"failed, exit code {code}"
    except subprocess.TimeoutExpired:
        verdict = f"failed, not done within {check.timeout_s} s"
    return Outcome(check.name, verdict, time.monotonic() - started)


def provide_browser() -> list[str]:
    """Installs Chromium from the system's packages where that is allowed; else a sentence for the summary."""
    if os.environ.get("RUNNER_CHROMIUM") or any(shutil.which(name) for name in CHROMIUM_NAMES):
        return []
    apt = administrator_prefix()
    if shutil.which("apt-get") and apt is not None:
        print("== installing Chromium for the browser tests", flush=True)
        options = ["-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "-q", "update"], ["apt-get", "install", *options, *BROWSER_PACKAGES]):
            try:
                subprocess.run(  # noqa: S603
                    [*apt, *command],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    timeout=APT_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                break
    if any(shutil.which(name) for name in CHROMIUM_NAMES):
        return []
    return ["no browser tests: Chromium is missing; on Debian install it with: sudo apt install -y chromium"]


def administrator_prefix() -> list[str] | None:
    """Written before a command that needs root: nothing as root, sudo if it asks no password, else None."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    allowed = subprocess.run([sudo, "-n", "true"], capture_output=True, timeout=10, check=False)  # noqa: S603
    return [sudo, "-n"] if allowed.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
