"""Parameters of built-in strategies whose default an operator sets."""

from __future__ import annotations

from collections.abc import Sequence

from core.parameters import ParameterSpec


def configured(specs: Sequence[ParameterSpec], *, min_data_points: int) -> dict[str, int]:
    """In the place of what `specs` declare, as near as their bounds allow."""
    return {
        spec.name: int(min(spec.maximum, max(spec.minimum, min_data_points)))
        for spec in specs
        if spec.name == "min_data_points"
    }
