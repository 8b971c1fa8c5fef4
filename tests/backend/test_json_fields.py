from __future__ import annotations

import pytest

from backend.json_fields import Field, RequestError, elements, project_number


def test_path_grows_with_every_step() -> None:
    field = Field({"a": [{"b": 1}]})
    assert field["a"].items()[0]["b"].path == "a[0].b"
    assert field["a"].items()[0]["b"].integer(0, 5) == 1


def test_absent_is_missing_or_null() -> None:
    field = Field({"null": None, "zero": 0})
    assert field["null"].absent
    assert field["gone"].absent
    assert not field["zero"].absent


def test_long_values_are_shortened() -> None:
    with pytest.raises(RequestError, match=r"^big: got \[0, 1, .*\.\.\.\]; send a string") as error:
        Field({"big": list(range(100_000))})["big"].text()
    assert len(str(error.value)) < 120


def test_records_leave_out_what_is_no_object() -> None:
    assert Field([{"a": 1}, None, 5]).records() == ({"a": 1},)
    assert Field(None).records() == ()


def test_elements_are_those_of_a_list() -> None:
    assert elements([1, 2]) == [1, 2]
    for other in (None, "ab", {"a": 1}, 3):
        assert elements(other) == []


@pytest.mark.parametrize("value", ["12.1700000000", "12", 12, {"id": 12}, {"id": "12"}])
def test_a_project_has_one_number_in_every_form(value: object) -> None:
    assert project_number(value) == 12


@pytest.mark.parametrize("value", [None, "", "x.1", True, {}, {"id": None}, [12], -12, "²", "9" * 5000])
def test_what_is_no_project_has_no_number(value: object) -> None:
    assert project_number(value) is None
