"""The examples that are offered are taken as they stand."""

from __future__ import annotations

import json
from typing import Any

from starlette.testclient import TestClient

from tests.facade.world import as_user

ANN = as_user("ann")


def test_every_example_is_taken_by_the_path_its_kind_is_for(client: TestClient) -> None:
    offered = client.get("/api/strategies/examples", headers=ANN).json()["examples"]
    assert {each["type"] for each in offered} == {"python", "typescript", "graph", "template"}
    assert len(offered) >= 10
    for each in offered:
        deployed = client.post("/api/strategies/deploy", json=body(each), headers=ANN)
        assert deployed.status_code == 201, (each["name"], deployed.text)


def body(example: dict[str, str]) -> dict[str, Any]:
    market = {"symbol": "BTCUSDT", "timeframe": "5m"}
    if example["type"] in ("python", "typescript"):
        return market | {"code": example["text"], "type": example["type"]}
    document: dict[str, Any] = json.loads(example["text"])
    return market | {"nodeGraph": document} if "nodes" in document else document | market
