"""The Grafana dashboard asks for metrics and labels that there are, and shows all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facade.metrics import METRICS, PREFIX

FILE = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "strategy-runner.json"
LABELS = {PREFIX + each.name + ("_total" if each.counts else ""): set(each.labels) for each in METRICS}
OF_INSTALLATION = {PREFIX + each.name for each in METRICS if each.of_installation}
OF_THE_SCRAPE = {"job", "instance"}


def dashboard() -> dict[str, Any]:
    parsed = json.loads(FILE.read_text())
    assert isinstance(parsed, dict)
    return parsed


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric an expression asks for, with the labels it is chosen by."""
    for name, chosen in re.findall(r"\b([a-z][a-z0-9_]*)\{([^}]*)\}", expression):
        yield name, set(re.findall(r"(\w+)=", chosen))


def test_every_metric_and_label_it_asks_for_exists() -> None:
    found = [selector for expression in expressions() for selector in selectors(expression)]
    assert len(found) >= len(expressions()) > 0
    for name, labels in found:
        assert name in LABELS
        assert labels <= LABELS[name] | OF_THE_SCRAPE, name


def test_no_metric_is_named_outside_a_selector_of_the_chosen_processes() -> None:
    for expression in expressions():
        named = set(re.findall(rf"\b{PREFIX}\w+", expression))
        assert named == {name for name, labels in selectors(expression) if labels >= OF_THE_SCRAPE}


def test_variables_ask_for_metrics_that_there_are() -> None:
    asked = re.findall(rf"\b{PREFIX}\w+", json.dumps(dashboard()["templating"]))
    assert asked
    assert set(asked) <= set(LABELS)


@pytest.mark.parametrize("expression", expressions())
def test_results_are_grouped_and_told_by_labels_they_have(expression: str) -> None:
    names = [name for name, _ in selectors(expression)]
    has = set.intersection(*(LABELS[name] for name in names)) | OF_THE_SCRAPE
    grouped = {label for by in re.findall(r"by \((\w+)\)", expression) for label in by.split(",")}
    assert grouped <= has
    legends = {
        legend
        for panel in panels()
        for target in panel["targets"]
        if target["expr"] == expression
        for legend in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    }
    assert legends <= has


def test_what_every_process_tells_alike_is_never_summed() -> None:
    for expression in expressions():
        if {name for name, _ in selectors(expression)} & OF_INSTALLATION:
            assert re.match(r"max\b", expression), expression


def test_every_metric_there_is_has_its_place() -> None:
    assert {name for expression in expressions() for name, _ in selectors(expression)} == set(LABELS)


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    cells = [
        (x, y)
        for panel in every
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
