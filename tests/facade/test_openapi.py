"""The interface's description is made of the routes, and docs/api.md says what the routes are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from core.redact import Secret
from facade.access import Access
from facade.app import INTERFACE
from facade.endpoint import Call, route
from facade.openapi import document
from facade.route_table import with_table
from facade.schemas.form import Answer, Body
from tests.facade.world import SmallRunner, client_of

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
OPERATIONS = [each.operation for each in INTERFACE]


@pytest.fixture
def client() -> TestClient:
    return client_of(SmallRunner(None))


def test_the_page_of_paths_says_what_the_routes_are() -> None:
    page = DOCS.read_text()
    assert page == with_table(page, OPERATIONS), "run: bin/runner openapi --into docs/api.md"


def test_every_route_says_in_one_line_what_it_does() -> None:
    assert [
        each.path for each in OPERATIONS if not each.summary.endswith(".") or len(each.summary) > 110
    ] == []


def test_the_description_is_openapi_and_every_reference_in_it_leads_somewhere(client: TestClient) -> None:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    described = answer.json()
    assert described["openapi"] == "3.1.0"
    references = set(re.findall(r'"\$ref":"#/components/schemas/(\w+)"', answer.text))
    assert references <= set(described["components"]["schemas"])
    assert {each.path for each in OPERATIONS} == set(described["paths"])
    names = [each["operationId"] for path in described["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))


def test_secrets_are_described_as_text_that_only_goes_in(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["AddConnection"]["properties"]["apiSecret"] == {
        "type": "string",
        "format": "password",
        "writeOnly": True,
    }
    shown = [name for name, schema in schemas.items() if name.endswith(("Answer", "Shown"))
             and '"password"' in repr(schema).replace("'", '"')]  # fmt: skip
    assert shown == []


def test_an_alert_is_described_as_what_it_is_without_a_header_its_key_in_a_body_of_either_name(
    client: TestClient,
) -> None:
    described = client.get("/openapi.json").json()
    sending = described["paths"]["/api/alerts"]["post"]
    assert sending["security"] == []
    assert "401" in sending["responses"]
    assert "403" not in sending["responses"]
    assert sending["parameters"] == []
    bodies = sending["requestBody"]["content"]
    assert set(bodies) == {"application/json", "text/plain"}
    assert bodies["application/json"] == bodies["text/plain"]
    form = described["components"]["schemas"]["SendAlert"]
    assert form["properties"]["key"] == {"type": "string", "format": "password", "writeOnly": True}
    assert set(form["required"]) == {"key", "action"}
    making = described["paths"]["/api/strategies/{id}/alert-key"]["post"]
    assert [each["name"] for each in making["parameters"]] == ["id"], "no Idempotency-Key"


def test_the_page_to_read_needs_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "/api/runner/cron" in page.text
    assert re.findall(r'(?:src|href)="(?:https?:)?//', page.text) == []


def test_two_structs_of_one_name_are_refused() -> None:
    class Given(Body, frozen=True, kw_only=True):
        key: Secret

    first = Given

    class Given(Body, frozen=True, kw_only=True):  # type: ignore[no-redef]
        size: int

    def handler_of(form: type) -> object:
        async def handler(call: Call, body: object) -> Answer:
            return Answer()

        handler.__annotations__ = {"call": Call, "body": form, "return": Answer}
        return handler

    routes = [
        route("POST", f"/api/{number}", handler_of(form), Access.USER)  # type: ignore[arg-type]
        for number, form in enumerate((first, Given))
    ]
    with pytest.raises(TypeError, match="named Given"):
        document([each.operation for each in routes], version="1")


def test_a_handler_of_another_form_is_refused() -> None:
    async def odd(call: Call, extra: int) -> Answer:
        return Answer()

    with pytest.raises(TypeError, match="not call, extra"):
        route("GET", "/api/odd", odd, Access.USER)


def test_whatever_changes_something_may_meet_another_state(client: TestClient) -> None:
    """A job that is over cannot be cancelled: 409, also where nothing is sent with the request."""
    paths = client.get("/openapi.json").json()["paths"]
    writing = [
        each
        for path in paths.values()
        for method, each in path.items()
        if method not in ("get", "parameters")
    ]
    assert writing
    assert all("409" in each["responses"] for each in writing)
