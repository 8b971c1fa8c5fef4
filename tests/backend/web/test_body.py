"""Bodies are read as `json.loads` reads them; only masks may wait."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.json_fields import RequestError
from backend.label_studio.mask_formats.rle import UnreadRle
from backend.web import body
from tests.backend import recordings

MASK = list(range(256)) * 2


def result(**value: Any) -> dict[str, Any]:
    return {"id": "a", "type": "brushlabels", "value": value}


def large(**more: Any) -> dict[str, Any]:
    """A body with masks in it, large enough to have them left aside."""
    holders = [{"id": 1, "result": [result(rle=MASK, brushlabels=["Cup"])]}] * 30
    return {"tasks": [{"id": 1, "annotations": holders, "drafts": holders}], **more}


def whole(value: Any) -> Any:
    """The same with every mask read."""
    if isinstance(value, UnreadRle):
        return list(value.read())
    if isinstance(value, dict):
        return {key: whole(part) for key, part in value.items()}
    return [whole(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("indent", [None, 2])
def test_masks_are_left_aside_and_nothing_else_changes(indent: int | None) -> None:
    data = json.dumps(large(project="3.1"), indent=indent).encode()
    read = body.read_body(data)
    assert isinstance(read["tasks"][0]["drafts"][0]["result"][0]["value"]["rle"], UnreadRle)
    assert whole(read) == json.loads(data)


TRICKY: list[Any] = [
    {"rle": [1, 2]},
    {"note": 'he said "rle": [1, 2]'},
    {'x"rle': [1, 2]},
    {"rle": ["]", [1]]},
    {"rle": [[1, 2], [3]]},
    {"rle": {"a": [1]}},
    {"rle": "text"},
    {"rle": []},
]


@pytest.mark.parametrize("tricky", TRICKY)
def test_what_only_looks_like_a_mask_is_read_as_ever(tricky: Any) -> None:
    for place in (large(extra=tricky), large(annotation={"result": [result(**tricky)]})):
        data = json.dumps(place).encode()
        assert whole(body.read_body(data)) == json.loads(data)


@given(
    st.recursive(
        st.none() | st.integers(0, 255) | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["rle", "value", "result", 'a"rle']) | st.text(), inner)
        ),
    )
)
def test_any_document_is_read_as_ever(document: Any) -> None:
    data = json.dumps(large(extra=document, annotation={"result": [{"value": document}]})).encode()
    assert whole(body.read_body(data)) == json.loads(data)


@pytest.mark.parametrize("name", recordings.names("/predict") + recordings.names("/webhook"))
def test_recorded_bodies_are_read_as_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_SMALL", 0)
    data = json.dumps(recordings.body(name)).encode()
    assert whole(body.read_body(data)) == json.loads(data)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"rle": [1,' * 10_000]
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(RequestError) as error:
        body.read_body(data)
    assert error.value.path == "body"
