"""The table of routes in docs/api.md, made of the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from facade.access import Access
from facade.openapi import tag_of
from facade.operation import Operation

_MARKED: Final = re.compile(r"(<!-- routes[^>]*-->\n).*(<!-- /routes -->)", re.DOTALL)
_WHO: Final = {
    Access.ANYONE: "anyone",
    Access.USER: "user",
    Access.ADMIN: "admin",
    Access.ALERT_KEY: "alert key in the body",
    Access.CRON: "cron secret or admin",
    Access.OPERATOR: "this machine, metrics token or admin",
}


def route_table(operations: Iterable[Operation]) -> str:
    """Markdown: a heading a subject, a row a path and method."""
    lines: list[str] = []
    subject = None
    for operation in sorted(operations, key=lambda each: (tag_of(each), each.path, each.method)):
        if tag_of(operation) != subject:
            subject = tag_of(operation)
            lines += [
                "",
                f"### {subject}",
                "",
                "| Method, path | Who | Takes | Answers | |",
                "|---|---|---|---|---|",
            ]
        lines.append(
            f"| {operation.method} `{operation.path}` | {_WHO[operation.access]} | {_takes(operation)} "
            f"| {_answers(operation)} | {operation.summary} |"
        )
    return "\n".join(lines).strip() + "\n"


def with_table(page: str, operations: Iterable[Operation]) -> str:
    """`page` with the table between its marks. Raises ValueError when it has none."""
    if not _MARKED.search(page):
        raise ValueError("the page has no marks for the table")
    table = route_table(operations)
    return _MARKED.sub(lambda marks: marks[1] + table + marks[2], page)


def _takes(operation: Operation) -> str:
    asked = "" if operation.query is None else "?" + ", ".join(operation.query.__struct_encode_fields__)
    body = "" if operation.body is None else ", ".join(operation.body.__struct_encode_fields__)
    return " · ".join(f"`{each}`" for each in (body, asked) if each)


def _answers(operation: Operation) -> str:
    if operation.answer is None:
        return operation.produces
    fields = [each for each in operation.answer.__struct_encode_fields__ if each not in ("ok", "requestId")]
    return f"{operation.status}" + (f" `{', '.join(fields)}`" if fields else "")
