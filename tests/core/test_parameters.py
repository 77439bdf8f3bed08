from __future__ import annotations

import pytest

from core.parameters import ParameterError, ParameterSpec, check_parameters

SPECS = (
    ParameterSpec(name="period", default=14, minimum=2, maximum=200, meaning="candles"),
    ParameterSpec(name="level", default=30, minimum=0, maximum=100, whole=False, meaning="level"),
)


def test_defaults_fill_what_is_not_given() -> None:
    assert check_parameters(SPECS, {}) == {"period": 14, "level": 30.0}


@pytest.mark.parametrize("given", [7, 7.0, "7", " 7 "])
def test_a_whole_number_is_read_however_it_is_spelled(given: object) -> None:
    checked = check_parameters(SPECS, {"period": given})
    assert checked["period"] == 7
    assert isinstance(checked["period"], int)


@pytest.mark.parametrize("given", [1, 201, 7.5, "x", "", "nan", float("inf"), True, None, [7], "1e999"])
def test_what_is_no_such_number_is_refused_by_name(given: object) -> None:
    with pytest.raises(ParameterError, match=r"^period must"):
        check_parameters(SPECS, {"period": given})


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(ParameterError) as refused:
        check_parameters(SPECS, {"period": 0, "level": 101, "colour": 1})
    assert len(refused.value.problems) == 3
    assert all(word in str(refused.value) for word in ("period", "level", "colour"))
