"""Reads the JSON body of a request, without the masks in it, which are read when somebody asks for them.

Label Studio sends every saved mask of a task along with each click, several times over, as lists of numbers: with
sixty masks, reading them takes longer than answering.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

from backend.json_fields import Field, RequestError, elements
from backend.label_studio.mask_formats.rle import UnreadRle

_SMALL = 1 << 15  # bytes: not worth the trouble
_KEY = b'"rle"'
_BEGIN = re.compile(rb"\s*:\s*\[")
# In place of a mask; nobody outside can know it.
_MARK = secrets.token_hex(8)


def read_body(data: bytes) -> dict[str, Any]:
    """Read a body as a JSON object.

    ``value.rle`` of the results of tasks may be an `UnreadRle` instead of a list.

    Raises:
        RequestError: it is none.
    """
    try:
        body = _without_masks(data) if len(data) > _SMALL else None
        if body is None:
            body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RequestError("body", f"not JSON: {error}") from None
    return Field(body).mapping()


def _without_masks(data: bytes) -> Any:
    """Read a body with the masks left aside; None where that does not work out."""
    parts: list[bytes] = []
    masks: list[UnreadRle] = []
    at = 0
    for begin, end in _lists(data):
        parts += [data[at:begin], f'"{_MARK}{len(masks)}"'.encode()]
        masks.append(UnreadRle(data[begin:end]))
        at = end
    try:
        body = json.loads(b"".join([*parts, data[at:]]))
    except ValueError:
        return None
    placed = 0
    for value in _values(body):
        mark = value.get("rle")
        if isinstance(mark, str) and mark.startswith(_MARK):
            value["rle"] = masks[int(mark[len(_MARK) :])]
            placed += 1
    return body if placed == len(masks) else None


def _lists(data: bytes) -> Iterator[tuple[int, int]]:
    """Find where lists of numbers begin and end that are called rle."""
    at = 0
    while (key := data.find(_KEY, at)) >= 0:
        at = key + len(_KEY)
        match = _BEGIN.match(data, at)
        if match is None or data[key - 1 : key] == b"\\":  # a text that holds such words
            continue
        begin = match.end() - 1
        end = data.find(b"]", begin) + 1
        if end and data.find(b'"', begin, end) < 0 and data.find(b"[", begin + 1, end) < 0:
            yield begin, end
            at = end


def _values(body: Any) -> Iterator[dict[str, Any]]:
    """Go through the ``value`` of all results that a body may hold."""
    if not isinstance(body, dict):
        return
    annotation = body.get("annotation")
    holders = [annotation] if isinstance(annotation, dict) else []
    for task in elements(body.get("tasks")):
        for name in ("annotations", "drafts", "predictions"):
            holders += elements(task.get(name)) if isinstance(task, dict) else []
    for holder in holders:
        for result in elements(holder.get("result")) if isinstance(holder, dict) else ():
            if isinstance(result, dict) and isinstance(result.get("value"), dict):
                yield result["value"]
