"""The named queries of `schema/queries/*.sql`.

Each is a `-- name: claim_runs` line, a comment line that says its purpose, and the statement:

    -- name: claim_runs
    -- Leases due runs for one owner, at most :limit of them.
    UPDATE ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from core.errors import RunnerError

QUERIES = Path(__file__).with_name("queries")

_HEADER = re.compile(r"^--[ \t]*name:[ \t]*(?P<name>.*?)[ \t]*$", re.MULTILINE)


class QueryFileError(RunnerError):
    """A query file that cannot be used; the message names file and line."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A statement with its name, its purpose and the file it stands in."""

    name: str
    purpose: str
    sql: bytes  # what psycopg takes for a statement that is no literal in the code
    file: str


def load_queries(folder: Path = QUERIES) -> Mapping[str, Query]:
    """All queries by name. Raises `QueryFileError`: duplicate, bad name, no purpose or no statement."""
    found: dict[str, Query] = {}
    for file in sorted(folder.glob("*.sql")):
        for query, line in _parse(file):
            if query.name in found:
                earlier = found[query.name].file
                raise QueryFileError(f"{file.name}:{line}: the query {query.name} is already in {earlier}.")
            found[query.name] = query
    return MappingProxyType(found)


def _parse(file: Path) -> list[tuple[Query, int]]:
    text = file.read_text()
    headers = list(_HEADER.finditer(text))
    preamble = text[: headers[0].start()] if headers else text
    if any(line.strip() and not line.startswith("--") for line in preamble.splitlines()):
        raise QueryFileError(f"{file.name}:1: a statement stands before the first '-- name:' line.")
    ends = [header.start() for header in headers[1:]] + [len(text)]
    parsed: list[tuple[Query, int]] = []
    for header, end in zip(headers, ends, strict=True):
        line = text.count("\n", 0, header.start()) + 1
        name = header["name"]
        if re.fullmatch(r"[a-z][a-z0-9_]*", name) is None:
            raise QueryFileError(f"{file.name}:{line}: {name!r} is no query name; use lower_case_words.")
        first, _, rest = text[header.end() : end].removeprefix("\n").partition("\n")
        purpose = first.removeprefix("--").strip()
        if not first.startswith("--") or not purpose:
            raise QueryFileError(
                f"{file.name}:{line}: the query {name} does not say its purpose on the next line."
            )
        statement = rest.strip().rstrip(";").rstrip()
        if not re.sub(r"--[^\n]*", "", statement).strip():
            raise QueryFileError(f"{file.name}:{line}: the query {name} has no statement.")
        parsed.append((Query(name=name, purpose=purpose, sql=statement.encode(), file=file.name), line))
    return parsed
