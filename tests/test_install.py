"""First use: one environment, made once, whole or not at all; and the locks it is made from.

The checkouts here have the real scripts, a command line of three lines and a lock of one tiny package
that the test builds itself, so that no network is needed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("runner", "find_python.sh", "environment.py", "__init__.py")
COMMANDS = """
import os, sys, parcel
print(parcel.VERSION, os.getcwd(), *sys.argv[1:])
"""
START_TIMEOUT_S = 120


class Checkout:
    """A fresh clone in miniature."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = folder / "bin" / "runner"
        self.venv = folder / ".venv"
        self.wheels = folder.parent / "wheels"
        (folder / "bin" / "commands").mkdir(parents=True)
        self.wheels.mkdir()
        for name in SCRIPTS:
            shutil.copy(ROOT / "bin" / name, folder / "bin" / name)
        (folder / "bin" / "commands" / "__main__.py").write_text(COMMANDS)
        self.require("1.0")

    def require(self, version: str) -> None:
        """Puts `parcel` of this version into the lock, and on the shelf pip installs from."""
        wheel = self.wheels / f"parcel-{version}-py3-none-any.whl"
        about = f"parcel-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("parcel.py", f"VERSION = {version!r}\n")
            archive.writestr(
                f"{about}/METADATA", f"Metadata-Version: 2.1\nName: parcel\nVersion: {version}\n"
            )
            archive.writestr(
                f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{about}/RECORD", "")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lock = f"parcel=={version} \\\n    --hash=sha256:{digest}\n"
        (self.folder / "requirements.lock").write_text(lock)
        (self.folder / "requirements-dev.lock").write_text(lock)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        return {
            **kept,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CONFIG_FILE": os.devnull,
            **more,
        }

    def start(self, *arguments: str, program: Path | None = None, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [program or self.runner, *arguments],
            cwd=self.wheels,
            env=self.environment(**more),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, program: Path | None = None, **more: str) -> tuple[int, str, str]:
        process = self.start(*arguments, program=program, **more)
        out, err = process.communicate(timeout=START_TIMEOUT_S)
        return process.returncode, out, err


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def path_of(folder: Path, **programs: str) -> str:
    """A PATH that first finds these scripts for Python: those given, and for the rest one that is too old."""
    folder.mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        script = programs.get(name.replace(".", "_"), "exit 1")
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_first_use_makes_the_environment_once_from_any_folder_and_through_a_link(checkout: Checkout) -> None:
    link = checkout.folder.parent / "link"
    link.symlink_to(Path("checkout") / "bin" / "runner")
    code, out, err = checkout.run("a b", "--x", program=link)
    assert (code, out) == (0, f"1.0 {checkout.wheels} a b --x\n")
    assert err.startswith("Setting up the environment (once) …\n")
    assert checkout.run() == (0, f"1.0 {checkout.wheels}\n", "")

    checkout.require("2.0")  # a changed lock, and only that, installs again
    code, out, err = checkout.run()
    assert (code, out) == (0, f"2.0 {checkout.wheels}\n")
    assert err.startswith("Updating the environment")
    assert checkout.run()[2] == ""


def test_an_interrupted_installation_is_done_again_from_the_start(checkout: Checkout) -> None:
    """Killed in the middle: the package looks installed (its metadata is there), its code is not."""
    assert checkout.run()[0] == 0
    (checkout.venv / "installed-requirements.lock").unlink()
    (checkout.venv / "installing").touch()
    next(checkout.venv.glob("lib/*/site-packages/parcel.py")).unlink()
    code, out, err = checkout.run()
    assert (code, out) == (0, f"1.0 {checkout.wheels}\n")
    assert err.startswith("Setting up the environment (once) …\n")


def test_two_first_uses_at_once_make_one_environment(checkout: Checkout) -> None:
    both = [checkout.start(name) for name in ("one", "two")]
    ends = [process.communicate(timeout=START_TIMEOUT_S) for process in both]
    assert [out for out, _ in ends] == [f"1.0 {checkout.wheels} {name}\n" for name in ("one", "two")]
    assert sum("Setting up" in err for _, err in ends) == 1


def test_a_package_that_differs_from_the_lock_is_refused_in_one_sentence(checkout: Checkout) -> None:
    lock = checkout.folder / "requirements.lock"
    lock.write_text(re.sub("sha256:....", "sha256:0000", lock.read_text()))
    code, out, err = checkout.run()
    assert (code, out) == (1, "")
    assert "Installing the packages failed (ERROR:" in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 2


def test_a_python_without_venv_is_one_sentence_that_says_what_to_install(checkout: Checkout) -> None:
    bare = checkout.wheels / "bare"
    bare.mkdir()
    (bare / "ensurepip.py").write_text("raise ImportError('left out, as Debian does')\n")
    code, _, err = checkout.run(PYTHONPATH=str(bare))
    assert code == 1
    assert err.splitlines()[-1].endswith("sudo apt install -y python3-venv")
    assert not checkout.venv.exists()


def test_an_old_python_is_one_sentence(checkout: Checkout, tmp_path: Path) -> None:
    code, _, err = checkout.run(PATH=path_of(tmp_path / "old"))
    assert code == 1
    assert err.startswith("Strategy Runner needs Python 3.11 or later")
    assert len(err.splitlines()) == 1


def test_a_newer_python_is_used_where_python3_is_old(checkout: Checkout, tmp_path: Path) -> None:
    mixed = path_of(tmp_path / "mixed", python3_12=f'exec {sys.executable} "$@"')
    assert checkout.run(PATH=mixed)[:2] == (0, f"1.0 {checkout.wheels}\n")


_marker = re.compile(r" ;[^\\\n]*")


def lock_entries(name: str) -> dict[str, str]:
    """Package → its whole entry: version, platform marker, hashes."""
    entries = re.split(r"(?m)^(?=[a-z0-9])", (ROOT / name).read_text())
    return {re.split(r"[=\s]", entry, maxsplit=1)[0]: entry for entry in entries if entry}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_package_has_one_version_per_platform_and_hashes_and_no_address(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()
    for entry in lock_entries(name).values():
        assert re.match(r"[a-z0-9-]+==\S+", entry)
        assert "--hash=sha256:" in entry
    assert not (ROOT / "uv.lock").exists()


def test_the_development_lock_is_the_run_time_lock_and_more() -> None:
    """bin/test installs the larger one and says both are there. What a test needs may be wanted on more platforms."""
    run_time, development = (
        {name: _marker.sub(" ", entry) for name, entry in lock_entries(lock).items()}
        for lock in ("requirements.lock", "requirements-dev.lock")
    )
    assert {name: development.get(name) for name in run_time} == run_time


def test_the_locks_hold_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run_time, development = lock_entries("requirements.lock"), lock_entries("requirements-dev.lock")
    for requirement in project["project"]["dependencies"]:
        assert re.split(r"[\[>=]", requirement, maxsplit=1)[0] in run_time
    for requirement in project["dependency-groups"]["dev"]:
        assert re.split(r"[\[>=]", requirement, maxsplit=1)[0] in development
