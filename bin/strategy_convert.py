"""A file of another language made a file of Python, by the service's converter and sandbox, without the service."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Final

from actors.converter import Conversion
from actors.sandbox.configured import limits_of
from actors.sandbox.host import Zygote
from actors.sandbox.validation import Validated, validate_code
from core.config import Settings
from core.definition import StrategyKind
from core.errors import RunnerError
from facade.endpoint import converter_of

MAX_SOURCE_CHARS: Final = 60_000


class NotConverted(RunnerError):
    """Nothing was asked, or what came cannot be written; says why."""


def convert(settings: Settings, source: Path, into: Path, *, language: str | None) -> Conversion:
    """Writes `into` where the code runs, over nothing that is there. Raises RunnerError sentences."""
    converter = converter_of(settings)
    if converter is None:
        raise NotConverted("No model is configured: set CONVERTER_URL and CONVERTER_MODEL.")
    if into.exists():
        raise NotConverted(f"{into} is there already.")
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotConverted(f"{source} cannot be read as text.") from error
    if not 0 < len(text) <= MAX_SOURCE_CHARS:
        raise NotConverted(f"{source} has {len(text):,} characters; 1 to {MAX_SOURCE_CHARS:,} are converted.")
    with closing(Zygote(limits_of(settings))) as zygote:

        async def try_code(code: str) -> Validated:
            return await asyncio.to_thread(validate_code, zygote, kind=StrategyKind.PYTHON, text=code)

        found = asyncio.run(converter.convert(text, language=language, try_code=try_code))
    if found.ok:
        try:
            with into.open("x", encoding="utf-8") as file:
                file.write(found.code)
        except OSError as error:
            raise NotConverted(f"{into} cannot be written: {error.strerror or error}.") from error
    return found
