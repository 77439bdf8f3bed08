"""Strategies to begin with: the files of `examples/`, as they stand."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from facade.schemas.examples import ExampleShown, ExampleType

FOLDER: Final = Path(__file__).parent.parent / "examples"
_CODE: Final = {".py": ExampleType.PYTHON, ".ts": ExampleType.TYPESCRIPT}


@cache
def examples() -> tuple[ExampleShown, ...]:
    """All there are, code before documents; none where the folder is not there."""
    files = sorted(FOLDER.glob("*"), key=lambda path: (path.suffix == ".json", path.name))
    return tuple(_read(path) for path in files if path.suffix in (*_CODE, ".json"))


def _read(path: Path) -> ExampleShown:
    text = path.read_text(encoding="utf-8")
    return ExampleShown(name=path.stem, type=_CODE.get(path.suffix) or _kind_of(text), text=text)


def _kind_of(text: str) -> ExampleType:
    held: dict[str, Any] = msgspec.json.decode(text)
    return ExampleType.GRAPH if "nodes" in held or "nodeGraph" in held else ExampleType.TEMPLATE
