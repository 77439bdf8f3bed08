"""`ETag` and `If-Match`: what is versioned changes only at the version its reader saw."""

from __future__ import annotations

import re
from typing import Final

from facade.endpoint import Call
from facade.errors import ApiError, bad_field

IF_MATCH: Final = "If-Match"
_TAG: Final = re.compile(r'(?:W/)?(?P<quote>"?)(?P<version>[0-9]{1,9})(?P=quote)')


def show_version(call: Call, version: int) -> None:
    """The `ETag` of the answer."""
    call.headers["ETag"] = f'"{version}"'


def version_seen(call: Call, *, required: bool) -> int | None:
    """The version in `If-Match`; None for any (`*`), or where none is given and none `required`."""
    text = call.request.headers.get(IF_MATCH)
    if text is None:
        if required:
            raise bad_field(
                IF_MATCH, "is missing: give the version you have seen, as the ETag of GET says it"
            )
        return None
    if text.strip() == "*":
        return None
    tag = _TAG.fullmatch(text.strip())
    if tag is None:
        raise bad_field(IF_MATCH, "must be a version, as the ETag of GET says it")
    return int(tag["version"])


def unchanged_since(seen: int | None, version: int) -> None:
    """409 where it has changed since it was seen."""
    if seen not in (None, version):
        raise ApiError(409, f"It is at version {version} meanwhile; read it again.")
