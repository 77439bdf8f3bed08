"""What the service logs: readable by people or machines, with the request's id, never with a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from bin.logging_setup import log_access, log_error, log_report, set_up_logging
from core.redact import Secret
from tests.facade.world import SmallRunner, client_of, make_settings

HIDDEN = "hunter2-hunter2-hunter2"


@pytest.fixture(autouse=True)
def default_logging_again() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_masked_by_type_by_name_and_inside_addresses(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """I13"""
    set_up_logging(make_settings(LOG_FORMAT=form))
    address = f"postgresql://runner:{HIDDEN}@db/runner"
    log_report("dead_letter", {"password": HIDDEN, "key": Secret(HIDDEN), "nested": {"apiSecret": [HIDDEN]}})
    log_report("actor_failed", {"error": RuntimeError(f"cannot reach {address}"), "reason": address})
    try:
        raise ValueError("plain")
    except ValueError as error:
        log_error({"action": "http_error", "token": HIDDEN}, error)
    said = capsys.readouterr().err
    assert HIDDEN not in said
    assert "***" in said
    assert "ValueError: plain" in said
    assert "RuntimeError" in said


def test_a_json_line_is_one_document_with_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(make_settings(LOG_FORMAT="json"))
    log_report("alert", {"actor": "journal"})
    (line,) = lines(capsys.readouterr().err)
    assert (line["event"], line["level"], line["actor"]) == ("alert", "warning", "journal")
    assert line["timestamp"].endswith("Z")


def test_a_request_is_logged_with_the_id_its_answer_names(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(make_settings(LOG_FORMAT="json"))
    client = client_of(SmallRunner(None), access_log=log_access)
    for path in ("/healthz", f"/api/signals?token={HIDDEN}"):
        client.get(path, headers={"X-Request-Id": f"id-of-{len(path)}"})
    (line,) = lines(capsys.readouterr().err)  # what reads and succeeds is not told at INFO
    assert (line["path"], line["status"]) == ("/api/signals", 401)
    assert line["request_id"] == f"id-of-{len('/api/signals?token=' + HIDDEN)}"


def test_debug_tells_every_request(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(make_settings(LOG_FORMAT="json", LOG_LEVEL="DEBUG"))
    client_of(SmallRunner(None), access_log=log_access).get("/healthz")
    assert [line["path"] for line in lines(capsys.readouterr().err)] == ["/healthz"]
