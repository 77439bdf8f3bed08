"""Commands of Bybit's WebSockets and the answers to them."""

from __future__ import annotations

from typing import Any

import msgspec


class Command(msgspec.Struct, kw_only=True):
    op: str
    req_id: str | None = None
    args: list[Any] = []


_command = msgspec.json.Decoder(Command)


def command_of(text: bytes) -> Command | None:
    try:
        return _command.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def answer(command: Command | None, success: bool, said: str) -> dict[str, Any]:
    """The acknowledgement of a command, with its id if it had one."""
    told: dict[str, Any] = {"success": success, "ret_msg": said, "conn_id": "sim"}
    if command is not None:
        told["op"] = command.op
        if command.req_id is not None:
            told["req_id"] = command.req_id
    return told
