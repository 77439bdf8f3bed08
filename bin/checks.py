"""Every check a change must pass: lint, types, pykka's own suite, the store on another server, the tests, the speed.

Run by `bin/test`, whose arguments go to pytest. The tests run in parts, side by side; the benchmarks come last, when
nothing else runs. A failed check does not stop the others.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bin.check_lanes import Check, Lanes

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER_PACKAGES = ("chromium", "fonts-dejavu-core")
SERVER_PACKAGES = ("postgresql",)
RECEIVERS = {"influxd": "influxdb", "victoria-metrics": "victoria-metrics"}
"""Servers that signals are told to: program → package."""
LANES = 3
"""More than two cores have, as many tests wait for databases and processes."""
PARTS: Mapping[str, Sequence[str]] = {
    "processes": ("tests/live",),
    "the facade": ("tests/facade",),
    "actors": ("tests/actors",),
    "the store": ("tests/schema",),
    "commands": ("tests/bin",),
    "guards": ("tests/guards",),
}
"""The longest first, so that the lanes end together; what belongs to none of them is longer still."""
ON_EVERY_SERVER = ("tests/schema/conformance", "tests/schema/test_pg_stalled.py")
SERVER_FOLDER = Path("/usr/lib/postgresql")
APT_TIMEOUT_S = 300


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    began_s = time.monotonic()
    notes = provide_browser()
    server, missing = provide_server()
    notes += missing + provide_receivers()
    python = [sys.executable, "-m"]
    small = [
        Check("lint", [*python, "ruff", "check", "--output-format", "concise", "."], 60),
        Check("types", [*python, "mypy"], 300),
        Check("pykka's own suite", [*python, "tests.actors.runtime.upstream"], 180),
    ]
    runner = Lanes(sys.stdout)
    try:
        if arguments:
            tests = Check("tests", [*python, "pytest", "-rfEs", *arguments], 1_200)
            outcomes = runner.run([*small, tests], lanes=lanes(2))
        else:
            checks = [*small, *tests_of(PARTS), *on_a_system_server(server)]
            outcomes = runner.run(checks, lanes=lanes(LANES))
            outcomes += runner.run([Check("speed", [*python, "bin.commands", "bench", "check"], 180)])
    except KeyboardInterrupt:
        print("\nInterrupted.")
        return 130
    print(f"\nIn short, after {time.monotonic() - began_s:.0f} s:")
    for outcome in outcomes:
        print(f"  {outcome.name}: {outcome.verdict} ({outcome.seconds:.0f} s)")
    for note in notes:
        print(f"  {note}")
    return 0 if all(outcome.verdict == "ok" for outcome in outcomes) else 1


def tests_of(parts: Mapping[str, Sequence[str]]) -> list[Check]:
    """Each part by itself, and whatever belongs to none."""
    pytest = [sys.executable, "-m", "pytest", "-rfEs"]
    named = [folder for folders in parts.values() for folder in folders]
    elsewhere = [*pytest, *(f"--ignore={folder}" for folder in named)]
    return [
        Check("tests of all else", elsewhere, 900),
        *(Check(f"tests of {name}", [*pytest, *folders], 900) for name, folders in parts.items()),
    ]


def lanes(most: int) -> int:
    """One where a second lane would only slow the first one down."""
    return 1 if len(os.sched_getaffinity(0)) == 1 else most


def provide_browser() -> list[str]:
    """Installs Chromium from the system's packages where that is allowed; else a sentence for the summary."""
    if os.environ.get("RUNNER_CHROMIUM") or any(shutil.which(name) for name in CHROMIUM_NAMES):
        return []
    install("Chromium for the browser tests", BROWSER_PACKAGES)
    if any(shutil.which(name) for name in CHROMIUM_NAMES):
        return []
    return ["no browser tests: Chromium is missing; on Debian install it with: sudo apt install -y chromium"]


def provide_server() -> tuple[Path | None, list[str]]:
    """The folder of the system's PostgreSQL programs, installed where that is allowed; else a sentence."""
    if not system_servers():
        install("PostgreSQL for the store's tests", SERVER_PACKAGES)
    found = system_servers()
    if found:
        return found[-1], []
    how = "on Debian install it with: sudo apt install -y postgresql"
    return None, [f"store not tested on the system's PostgreSQL: it is missing; {how}"]


def provide_receivers() -> list[str]:
    """Installs what tests tell signals to, where that is allowed; else a sentence for each that is missing."""
    missing = [package for program, package in RECEIVERS.items() if shutil.which(program) is None]
    if missing:
        install("InfluxDB and what takes its writing", missing)
    return [
        f"signals not tested on {package}: it is missing; on Debian install it with: sudo apt install -y {package}"
        for program, package in RECEIVERS.items()
        if shutil.which(program) is None
    ]


def system_servers() -> list[Path]:
    return sorted(path.parent for path in SERVER_FOLDER.glob("*/bin/initdb"))


def on_a_system_server(server: Path | None) -> list[Check]:
    """The store's conformance suite on the system's own PostgreSQL, and what differs there."""
    if server is None:
        return []
    suite = [sys.executable, "-m", "pytest", *ON_EVERY_SERVER, "-k", "postgres or stands_still"]
    name = f"store on the system's PostgreSQL {server.parent.name}"
    return [Check(name, suite, 400, {"RUNNER_PG_BIN": str(server)})]


def install(what: str, packages: Sequence[str]) -> None:
    """From the system's packages, where apt-get is there and may be used; whether it helped, the caller looks."""
    apt = administrator_prefix()
    if not shutil.which("apt-get") or apt is None:
        return
    print(f"== installing {what}", flush=True)
    options = ["-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "-q", "update"], ["apt-get", "install", *options, *packages]):
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
            return


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
