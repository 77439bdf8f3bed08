"""What the service logs: to standard error, for people or as JSON lines, never a secret (I13)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from core.config import Settings
from core.redact import redact

QUIET_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FIRST_REFUSAL = 400


def log_error(fields: Mapping[str, object], error: BaseException) -> None:
    """What an answer 500 does not tell its caller."""
    structlog.get_logger().error(fields.get("action", "http_error"), exc_info=error, **_but_action(fields))


def log_access(fields: Mapping[str, object]) -> None:
    """A request with its id. What reads and succeeds is for LOG_LEVEL=DEBUG: a page asks every second."""
    log, status = structlog.get_logger(), fields.get("status")
    quiet = fields.get("method") in QUIET_METHODS and isinstance(status, int) and status < FIRST_REFUSAL
    (log.debug if quiet else log.info)(fields.get("action", "http"), **_but_action(fields))


def log_report(action: str, fields: Mapping[str, object]) -> None:
    """What actors report."""
    log = structlog.get_logger()
    # Mail for an actor that has just stopped, or for an earlier life of one, is what stopping looks like.
    expected = action == "dead_letter" and fields.get("reason") in ("stopped", "stale")
    (log.debug if expected else log.warning)(action, **fields)


def _but_action(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name != "action"}


def set_up_logging(settings: Settings) -> None:
    json = settings.log_format == "json"
    level = logging.getLevelNamesMapping()[settings.log_level]
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Tracebacks without the values of variables: a frame may hold what no log may.
            *((structlog.processors.format_exc_info,) if json else ()),
            _masked,
            structlog.processors.JSONRenderer() if json else console,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _masked(logger: Any, method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Secrets by type, by the name of a field and inside addresses; the last hand on a line before it is written."""
    for name, value in fields.items():
        if name != "exc_info":
            said = f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else value
            masked = redact({name: said})
            assert isinstance(masked, dict)
            fields[name] = masked[name]
    return fields
