"""The interface's description, OpenAPI 3.1, made of the structs requests are decoded with and answers made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from core.redact import Secret
from facade.access import CRON_HEADER, SESSION_COOKIE, Access
from facade.errors import ErrorBody
from facade.idempotency import KEY_FORM, KEY_HEADER
from facade.middleware import REQUEST_ID_HEADER
from facade.operation import JSON, Operation

_REFERENCE: Final = "#/components/schemas/{name}"
_ERROR: Final = {"$ref": "#/components/responses/Error"}
_WHO: Final[Mapping[Access, Sequence[Mapping[str, list[str]]]]] = {
    Access.ANYONE: [],
    Access.ALERT_KEY: [],  # no scheme there is puts a secret into a body: the field says so, and 401 is told
    Access.USER: [{"token": []}, {"session": []}],
    Access.ADMIN: [{"token": []}, {"session": []}],
    Access.CRON: [{"cronSecret": []}, {"token": []}],
    Access.OPERATOR: [{}, {"token": []}],
}
_KEY_PARAMETER: Final = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": f"^{KEY_FORM}$"},
    "description": "A repeat under the same key within a day is answered as the first was, and changes nothing.",
}
_ID: Final = {"type": "string", "format": "uuid"}
_TEXT_IDS: Final = frozenset({"userId"})
"""Path fields that are opaque text; all others are UUIDs."""

Document = dict[str, Any]


def document(operations: Iterable[Operation], *, version: str) -> Document:
    """What `/openapi.json` answers."""
    listed = sorted(operations, key=lambda each: (each.path, each.method))
    schemas = _schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, schemas)
    for query in {each.query.__name__ for each in listed if each.query is not None}:
        del schemas[query]  # its fields are parameters, no schema of anybody's
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Strategy Runner",
            "version": version,
            "description": "Times are RFC 3339 in UTC, money and quantities decimal strings, ids UUIDs but for users.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Error": {
                    "description": "Refused or failed: a sentence, and a code that stays what it is.",
                    "headers": {
                        REQUEST_ID_HEADER: {"schema": {"type": "string"}},
                        "Retry-After": {
                            "schema": {"type": "string"},
                            "description": "Seconds, with 429 and 503.",
                        },
                    },
                    "content": {JSON: {"schema": {"$ref": _REFERENCE.format(name="ErrorBody")}}},
                }
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "cronSecret": {"type": "apiKey", "in": "header", "name": CRON_HEADER},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": SESSION_COOKIE,
                    "description": "A demo's page, on the machine it runs on.",
                },
            },
        },
    }


def tag_of(operation: Operation) -> str:
    """What the operation is about: the first word of its path below `/api`."""
    words = operation.path.strip("/").split("/")
    return words[1] if words[0] == "api" else "service"


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    types: dict[str, type] = {ErrorBody.__name__: ErrorBody}
    for operation in operations:
        for each in (operation.body, operation.query, operation.answer, operation.past):
            if each is not None and types.setdefault(each.__name__, each) is not each:
                raise TypeError(f"two structs of the interface are named {each.__name__}")
    _, schemas = msgspec.json.schema_components(
        list(types.values()), schema_hook=foreign_type, ref_template=_REFERENCE
    )
    return schemas


def foreign_type(form: type) -> dict[str, Any]:
    if issubclass(form, Secret):
        return {"type": "string", "format": "password", "writeOnly": True}
    raise NotImplementedError(f"{form.__name__} has no place in the interface")


def _described(operation: Operation, schemas: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _name(operation),
        "summary": operation.summary,
        "tags": [tag_of(operation)],
        "security": list(_WHO[operation.access]),
        "parameters": [
            *_path_parameters(operation),
            *_query_parameters(operation, schemas),
            *([_KEY_PARAMETER] if operation.idempotent else []),
        ],
        "responses": _responses(operation),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        reference = {"$ref": _REFERENCE.format(name=operation.body.__name__)}
        required = bool(schemas[operation.body.__name__].get("required"))
        content = {each: {"schema": reference} for each in operation.consumes}
        described["requestBody"] = {"required": required, "content": content}
    return described


def _name(operation: Operation) -> str:
    words = operation.path.replace("{", "").replace("}", "").replace("-", "/").replace("_", "/").split("/")
    return operation.method.lower() + "".join(word.title() for word in words if word not in ("", "api"))


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": field,
            "in": "path",
            "required": True,
            "schema": {"type": "string"} if field in _TEXT_IDS else _ID,
        }
        for field in operation.path_fields
    ]


def _query_parameters(operation: Operation, schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    form = schemas[operation.query.__name__]
    parameters = []
    for name, schema in form["properties"].items():
        parameter = {"name": name, "in": "query", "required": name in form["required"], "schema": schema}
        if "description" in schema:
            parameter["description"] = schema["description"]
        parameters.append(parameter)
    return parameters


def _responses(operation: Operation) -> dict[str, Any]:
    if operation.answer is not None:
        told = [each for each in (operation.answer, operation.past) if each is not None]
        references = [{"$ref": _REFERENCE.format(name=each.__name__)} for each in told]
        content = {JSON: {"schema": {"anyOf": references} if len(told) > 1 else references[0]}}
    else:
        content = {operation.produces: {}}
    responses: dict[str, Any] = {
        str(operation.status): {"description": operation.summary or "Done.", "content": content}
    }
    refusals = {400, 429, 503, 504}
    if operation.access is not Access.ANYONE:
        refusals |= {401} if operation.access is Access.ALERT_KEY else {401, 403}
    if operation.path_fields:
        refusals.add(404)
    if operation.method != "GET":
        refusals |= {409, 422, 423}
    if operation.body is not None:
        refusals |= {404, 413}
    if operation.past is not None:
        refusals |= {404, 422}
    for status in sorted(refusals):
        responses[str(status)] = _ERROR
    return responses
