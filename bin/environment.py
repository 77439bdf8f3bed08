"""Makes `.venv` in the checkout and keeps it equal to the lock.

Standard library only: it runs before anything is installed.

What protects it:
- a lock on the checkout's folder, so that two first uses at once make one environment;
- the stamp, a copy of the lock, written last and by rename: without it nothing counts as installed;
- the marker, present while packages are being installed: whoever finds one starts from an empty environment,
  because a package half copied by a killed pip looks installed to the next pip.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MARKER = VENV / "installing"
LOG = VENV / "install.log"
RUN_LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"  # all of RUN_LOCK, at the same versions, and development tools

VENV_TIMEOUT_S = 120
INSTALL_TIMEOUT_S = 600
DOWNLOAD_TIMEOUT_S = 60
DOWNLOAD_RETRIES = 3
# These would send packages elsewhere than into the environment.
MISLEADING = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")


class SetupError(Exception):
    """The environment cannot be made; the text is one sentence for the user."""


def main(arguments: list[str]) -> int:
    lock = DEV_LOCK if "--dev" in arguments else RUN_LOCK
    try:
        with checkout_lock():
            if not is_installed(lock):
                install(lock)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The environment could not be made in {VENV}: {error.strerror or error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def is_installed(lock: Path) -> bool:
    """Whether the environment was installed from exactly this lock and nobody is at work in it."""
    if not PYTHON.exists() or MARKER.exists():
        return False
    stamp = stamp_of(lock)
    return stamp.exists() and stamp.read_bytes() == lock.read_bytes()


def install(lock: Path) -> None:
    started = time.monotonic()
    first = not PYTHON.exists() or MARKER.exists()
    say("Setting up the environment (once) …" if first else "Updating the environment (its lock changed) …")
    check_venv_module()
    if first:
        shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir(exist_ok=True)
    MARKER.touch()
    for each in (RUN_LOCK, DEV_LOCK):
        stamp_of(each).unlink(missing_ok=True)
    # The interpreter is named with its version (python3.11), so that a system upgrade to another one leaves a
    # dangling link, which is noticed, and not an environment that looks whole and finds none of its packages.
    if first or not (VENV / "bin" / "pip").exists():
        interpreter = os.path.realpath(sys.executable)
        run([interpreter, "-m", "venv", str(VENV)], VENV_TIMEOUT_S, "making the environment")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    bounds = ["--timeout", str(DOWNLOAD_TIMEOUT_S), "--retries", str(DOWNLOAD_RETRIES)]
    exactly = ["--require-hashes", "--no-deps", "-r", str(lock)]
    run([*pip, *bounds, *exactly], INSTALL_TIMEOUT_S, "installing the packages")
    write_stamp(RUN_LOCK)
    if lock == DEV_LOCK:
        write_stamp(DEV_LOCK)
    MARKER.unlink()
    say(f"The environment is ready ({time.monotonic() - started:.0f} s).")


def check_venv_module() -> None:
    """Debian ships Python without ensurepip; `venv` would fail half-way and say so in ten lines."""
    try:
        import ensurepip  # noqa: F401  (asked for, not used)
        import venv  # noqa: F401
    except ImportError:
        raise SetupError(
            "Python's venv module is missing; on Debian install it with: sudo apt install -y python3-venv"
        ) from None


def run(command: list[str], timeout_s: float, doing: str) -> None:
    """Runs it with its output in the log; on failure names the log and repeats the line that says why."""
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    with LOG.open("ab") as log:
        try:
            done = subprocess.run(  # noqa: S603  (our own command, no shell)
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SetupError(f"{doing.capitalize()} took longer than {timeout_s:.0f} s; see {LOG}.") from None
    if done.returncode != 0:
        lines = [line for line in LOG.read_text(errors="replace").splitlines() if line.strip()]
        reasons = [line for line in lines if line.startswith("ERROR:")] or lines or ["no output"]
        raise SetupError(f"{doing.capitalize()} failed ({reasons[-1].strip()}); see {LOG}.")


def stamp_of(lock: Path) -> Path:
    return VENV / f"installed-{lock.name}"


def write_stamp(lock: Path) -> None:
    stamp = stamp_of(lock)
    unfinished = stamp.with_suffix(".new")
    shutil.copyfile(lock, unfinished)
    unfinished.replace(stamp)


@contextmanager
def checkout_lock() -> Iterator[None]:
    """Holds the checkout's folder for this process; the system lets go of it however the process ends."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another start to finish setting up the environment …")
            fcntl.flock(folder, fcntl.LOCK_EX)  # bounded: the holder's own steps are
        yield
    finally:
        os.close(folder)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
