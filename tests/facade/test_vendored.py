"""Vendored browser files are the published ones, and what their licences ask for is there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

VENDOR = Path(__file__).resolve().parents[2] / "facade" / "static" / "vendor"
PACKAGES: list[dict[str, Any]] = json.loads((VENDOR / "manifest.json").read_text())["packages"]
FILES = [entry for package in PACKAGES for entry in package["files"]]


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: str(entry["path"]))
def test_a_vendored_file_is_byte_for_byte_the_one_in_the_manifest(entry: dict[str, Any]) -> None:
    content = (VENDOR / entry["path"]).read_bytes()
    assert len(content) == entry["bytes"]
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_every_vendored_file_is_in_the_manifest() -> None:
    there = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert there - {"manifest.json"} == {entry["path"] for entry in FILES}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package["package"]))
def test_every_package_comes_with_version_and_licence_text(package: dict[str, Any]) -> None:
    assert package["licence"] in ("Apache-2.0", "MIT")
    assert f"{package['package']}/LICENSE" in {entry["path"] for entry in package["files"]}
    built = [VENDOR / entry["path"] for entry in package["files"] if entry["path"].endswith(".js")]
    assert all(package["version"] in path.read_text()[:400] for path in built)


def test_no_vendored_file_is_loaded_from_elsewhere_at_run_time() -> None:
    """A page works without a network: no imports or source maps that a browser would fetch."""
    for entry in FILES:
        if entry["path"].endswith((".js", ".css")):
            text = (VENDOR / entry["path"]).read_text()
            assert "sourceMappingURL" not in text
            assert "@import" not in text
            assert "importScripts" not in text
