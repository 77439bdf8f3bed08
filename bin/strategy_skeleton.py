"""A strategy to begin with: a commented file that runs as it is, and for code a test of it."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Final

from core.errors import RunnerError

_SKELETONS: Final = Path(__file__).parent / "skeletons"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class NotBegun(RunnerError):
    """The file cannot be made; says why."""


class Kind(StrEnum):
    """What can be begun, and the skeletons it begins with, by the ending of their names."""

    PYTHON = "python"
    TYPESCRIPT = "typescript"
    TEMPLATE = "template"
    GRAPH = "graph"


_FILES: Final = {
    Kind.PYTHON: (("strategy.py.txt", "{}.py"), ("test_strategy.py.txt", "test_{}.py")),
    Kind.TYPESCRIPT: (("strategy.ts.txt", "{}.ts"),),
    Kind.TEMPLATE: (("template.json", "{}.json"),),
    Kind.GRAPH: (("graph.json", "{}.json"),),
}


def begin(name: str, kind: Kind, folder: Path) -> list[Path]:
    """Writes the files and names them; raises NotBegun where one is there already, and then writes none."""
    if not _NAME.fullmatch(name):
        raise NotBegun(f"{name!r} is not a name of small letters, digits and _, which a file of code needs.")
    made = [(_SKELETONS / skeleton, folder / target.format(name)) for skeleton, target in _FILES[kind]]
    words = {
        "title": name.replace("_", " ").capitalize(),
        "file": made[0][1].name,
        "test": made[-1][1].name,
        "module": name,
    }
    for _, target in made:
        if target.exists():
            raise NotBegun(f"{target} is there already.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for skeleton, target in made:
            text = skeleton.read_text(encoding="utf-8")
            for word, value in words.items():
                text = text.replace("{{" + word + "}}", value)
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise NotBegun(f"{error.filename} cannot be written: {error.strerror or error}.") from error
    return [target for _, target in made]
