"""Moving the data of an embedded server to where its account can reach it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

MOVED = "moved_to"  # the note in the given folder that says where the data is


def move_data(folder: Path, home: Path, below: Path) -> None:
    """Moves the data to a new folder below `below`, and leaves a note of it in `folder`."""
    target = Path(tempfile.mkdtemp(prefix="data-", dir=below))
    if (home / "cluster").exists():
        shutil.copytree(home / "cluster", target / "cluster", symlinks=True)
    if (home / "ready").exists():
        shutil.copy2(home / "ready", target / "ready")
    unfinished = folder / f"{MOVED}.new"
    unfinished.write_text(str(target))
    unfinished.replace(folder / MOVED)
    # Only now: until the note is in place, the data here is the data.
    for name in ("cluster", "cluster.new"):
        shutil.rmtree(home / name, ignore_errors=True)
