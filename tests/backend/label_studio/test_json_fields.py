from __future__ import annotations

import pytest

from backend.label_studio.json_fields import Field, RequestError


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
