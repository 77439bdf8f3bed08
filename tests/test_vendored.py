"""Vendored files are those of their manifests, and what their licences ask for is there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
VENDORS = [ROOT / "facade" / "static" / "vendor", ROOT / "actors" / "sandbox" / "vendor"]
PACKAGES: list[tuple[Path, dict[str, Any]]] = [
    (vendor, package)
    for vendor in VENDORS
    for package in json.loads((vendor / "manifest.json").read_text())["packages"]
]
FILES: list[tuple[Path, dict[str, Any]]] = [
    (vendor, entry) for vendor, package in PACKAGES for entry in package["files"]
]
NAMES = [str(entry["path"]) for _, entry in FILES]


@pytest.mark.parametrize(("vendor", "entry"), FILES, ids=NAMES)
def test_a_vendored_file_is_byte_for_byte_the_one_in_the_manifest(
    vendor: Path, entry: dict[str, Any]
) -> None:
    content = (vendor / entry["path"]).read_bytes()
    assert len(content) == entry["bytes"]
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_every_vendored_file_is_in_the_manifest() -> None:
    for vendor in VENDORS:
        there = {str(path.relative_to(vendor)) for path in vendor.rglob("*") if path.is_file()}
        assert there - {"manifest.json"} == {entry["path"] for of, entry in FILES if of == vendor}


@pytest.mark.parametrize(("vendor", "package"), PACKAGES, ids=[str(each["package"]) for _, each in PACKAGES])
def test_every_package_comes_with_version_and_licence_text(vendor: Path, package: dict[str, Any]) -> None:
    assert package["licence"] in ("Apache-2.0", "MIT")
    assert f"{package['package']}/LICENSE" in {entry["path"] for entry in package["files"]}
    built = [
        vendor / each["path"]
        for each in package["files"]
        if each["path"].endswith((".min.js", ".production.js"))
    ]
    assert all(package["version"] in path.read_text()[:400] for path in built)


def test_no_vendored_file_is_loaded_from_elsewhere_at_run_time() -> None:
    """A page works without a network: no imports or source maps that a browser would fetch."""
    for vendor, entry in FILES:
        if entry["path"].endswith((".js", ".css")):
            text = (vendor / entry["path"]).read_text()
            assert "sourceMappingURL" not in text
            assert "@import" not in text
            assert "importScripts" not in text
