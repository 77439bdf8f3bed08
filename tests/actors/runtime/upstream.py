"""pykka's own test suite, from its source distribution, on our runtime: `python -m tests.actors.runtime.upstream`.

The suite is downloaded (or named with --sdist), unpacked into a temporary folder, and run there with a plugin that
replaces its `runtime` fixture. Nothing of it is copied into this repository. With 1, 2 and 4 workers.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 240

# Tests about ThreadingActor itself, with the reason they say nothing about another actor class.
NOT_APPLICABLE = {
    "test_threading_actor.py::test_actor_thread_is_named_after_pykka_actor_class": "our actors have no thread",
    "test_threading_actor.py::test_actor_thread_is_not_daemonic_by_default": "our actors have no thread",
    "test_threading_actor.py::test_actor_thread_is_daemonic_if_use_daemon_thread_flag_is_set": (
        "our actors have no thread"
    ),
}

PLUGIN = '''
import os, threading, time, types, unittest.mock
import pytest
from actors.runtime.actor import DispatchedActor
from actors.runtime.dispatch import PoolDispatcher
from actors.runtime.future import SlimFuture
from tests.types import Runtime

DispatchedActor.dispatcher = PoolDispatcher(int(os.environ["UPSTREAM_WORKERS"]), name="upstream")

@pytest.fixture(scope="session")
def runtime():
    return Runtime(
        name="dispatched",
        actor_class=DispatchedActor,
        event_class=threading.Event,
        future_class=SlimFuture,
        sleep_func=time.sleep,
    )

@pytest.fixture
def mocker():
    """The part of pytest-mock that the suite uses: mocks, and patches undone after the test."""
    started = []

    def patch_object(*args, **kwargs):
        patcher = unittest.mock.patch.object(*args, **kwargs)
        started.append(patcher)
        return patcher.start()

    names = ("Mock", "MagicMock", "NonCallableMock", "NonCallableMagicMock", "PropertyMock")
    yield types.SimpleNamespace(
        patch=types.SimpleNamespace(object=patch_object),
        **{name: getattr(unittest.mock, name) for name in names},
    )
    for patcher in reversed(started):
        patcher.stop()
'''


def source_distribution(folder: Path) -> Path:
    """Download pykka's sdist, of the version installed here."""
    wanted = f"pykka=={version('pykka')}"
    command = [sys.executable, "-m", "pip", "download", "--no-binary", "pykka", "--no-deps", wanted]
    try:
        subprocess.run([*command, "--quiet", "--dest", str(folder)], check=True, timeout=TIMEOUT_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise SystemExit(f"{wanted} could not be downloaded: {error}") from error
    return next(folder.glob("pykka-*.tar.gz"))


def unpack(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        # Python before 3.11.4 (Debian 12's) knows no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)  # noqa: S202 - the release that is installed here
    return next(folder.glob("pykka-*/tests"))


def adapt(tests: Path) -> None:
    """Take the suite's own `runtime` fixture out and put ours in, in the unpacked copy."""
    conftest = tests / "conftest.py"
    text = conftest.read_text()
    pattern = r'@pytest\.fixture\(scope="session", params=RUNTIMES\.values\(\)\)\ndef runtime\(.*?\n\n\n'
    text, replaced = re.subn(pattern, "", text, flags=re.DOTALL)
    if replaced != 1:
        raise SystemExit("pykka's conftest.py has changed: its runtime fixture was not found")
    conftest.write_text(text + PLUGIN)


def run(tests: Path, workers: int) -> tuple[int, str]:
    deselected = [f"--deselect=tests/{name}" for name in NOT_APPLICABLE]
    # pykka's tests are a package named `tests`, as ours are: theirs must come first on the path.
    path = os.pathsep.join((str(tests.parent), str(ROOT)))
    environment = {**os.environ, "UPSTREAM_WORKERS": str(workers), "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *deselected, "tests"],
        cwd=tests.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdist", type=Path, help="pykka's source distribution, instead of downloading it")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    options = parser.parse_args()
    for name, reason in NOT_APPLICABLE.items():
        print(f"not applicable: {name} ({reason})")
    worst = 0
    with tempfile.TemporaryDirectory(prefix="pykka-suite-") as folder:
        sdist = options.sdist or source_distribution(Path(folder))
        tests = unpack(sdist, Path(folder))
        adapt(tests)
        for workers in options.workers:
            code, output = run(tests, workers)
            worst = max(worst, code)
            print(f"{workers} workers: {output.strip().splitlines()[-1]}")
            if code:
                print(output)
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
