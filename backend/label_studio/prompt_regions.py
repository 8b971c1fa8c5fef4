"""Reads one keypoint or rectangle as Label Studio sends it, and tells what it means in pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from backend.json_fields import Field, elements
from backend.label_studio.label_config import LABELS, shape_of
from model.click import Click

MAX_SIDE = 65_535
# A point dragged over the edge is meant for the edge; further out the numbers are not percentages.
_SLACK = 5.0
# Names under which senders tell a keypoint's polarity, and whether a true flag means positive.
_FLAGS = {"is_positive": True, "positive": True, "isPositive": True, "is_negative": False, "negative": False}


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels: x right, y down, ``left < right`` and ``top < bottom``, inside the image."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class PromptRegion:
    """A keypoint or rectangle of ``context.result``, checked.

    Attributes:
        id: Label Studio's region id, "" where there is none.
        shape: ``keypoint`` or ``rectangle``.
        labels: label names; empty where none was selected.
        positive: polarity of a keypoint, None where nothing tells.
        width, height: size of the image as the browser shows it, pixels.
        rotation: degrees by which the editor shows it turned; positions do not depend on it.
        item_index: position in a multi-image tag, or None.
        value: the field ``value``.
    """

    id: str
    shape: str
    labels: tuple[str, ...]
    to_name: str
    from_name: str
    positive: bool | None
    width: int
    height: int
    rotation: float
    item_index: int | None
    value: Field

    @staticmethod
    def read(entry: Field, named: tuple[str, ...] = ()) -> PromptRegion:
        """Check one element; RequestError names what is wrong with it.

        Args:
            named: the labels that other elements of the same id give it.
        """
        value, kind = entry["value"], entry["type"].text()
        number, index, rotation = entry["id"], entry["item_index"], entry["image_rotation"]
        return PromptRegion(
            id="" if number.absent else number.text(),
            shape=shape_of(kind),
            labels=_labels(value, kind) or named,
            to_name=entry["to_name"].text(),
            from_name=entry["from_name"].text(),
            positive=polarity(entry.mapping()),
            width=entry["original_width"].integer(1, MAX_SIDE),
            height=entry["original_height"].integer(1, MAX_SIDE),
            rotation=0 if rotation.absent else rotation.number(-360, 360, "degrees"),
            item_index=None if index.absent else index.integer(0, 100_000),
            value=value,
        )

    @property
    def group(self) -> tuple[Any, ...]:
        """Return what the prompts of one object have in common."""
        return self.labels, self.to_name, self.item_index, self.width, self.height

    def click(self, positive: bool) -> Click:
        """Return the keypoint in pixels, moved into the image where it is slightly outside."""
        return Click(self._inside("x", self.width), self._inside("y", self.height), positive)

    def box(self) -> Box:
        """Return the rectangle in pixels, cut to the image; a turned one becomes its upright bounding box."""
        left, top = self._length("x", self.width), self._length("y", self.height)
        across, down = self._length("width", self.width), self._length("height", self.height)
        turn = self.value["rotation"]
        angle = math.radians(0 if turn.absent else turn.number(-360, 360, "degrees"))
        # Label Studio turns a rectangle clockwise around its first corner.
        corners = [(x, y) for x in (0, across) for y in (0, down)]
        xs = [left + x * math.cos(angle) - y * math.sin(angle) for x, y in corners]
        ys = [top + x * math.sin(angle) + y * math.cos(angle) for x, y in corners]
        (x0, x1), (y0, y1) = _span(xs, self.width), _span(ys, self.height)
        return Box(x0, y0, x1, y1)

    def _inside(self, axis: str, size: int) -> float:
        percent = self.value[axis].number(-_SLACK, 100 + _SLACK, "percent of the image")
        return min(max(percent / 100 * size, 0.0), math.nextafter(size, 0))

    def _length(self, axis: str, size: int) -> float:
        return self.value[axis].number(-200, 200, "percent of the image") / 100 * size


def polarity(entry: dict[str, Any]) -> bool | None:
    """Return a keypoint's polarity, None where nothing tells.

    The flag may be on it, its value or its label, and be called is_positive or positive, or say the contrary.
    """
    value = entry.get("value")
    value = value if isinstance(value, dict) else {}
    labels = [*elements(value.get("labels")), *elements(value.get(str(entry.get("type"))))]
    for holder in (entry, value, *labels):
        for name, meaning in _FLAGS.items():
            flag = holder.get(name) if isinstance(holder, dict) else None
            if flag is not None:
                return (str(flag).lower() not in ("false", "0", "no")) is meaning
    return None


def names_of(entry: Any) -> tuple[str, ...]:
    """Return the label names in a result's value, () for anything without."""
    entry = entry if isinstance(entry, dict) else {}
    value, kind = entry.get("value"), str(entry.get("type"))
    if not isinstance(value, dict) or not kind.endswith(LABELS):
        return ()
    return tuple(name for name in elements(value.get(kind)) if isinstance(name, str))


def _labels(value: Field, kind: str) -> tuple[str, ...]:
    """Return the labels of a prompt; only one of a control without labels of its own may have none."""
    labels = value["labels"] if value[kind].absent else value[kind]
    if labels.absent and not kind.endswith(LABELS):
        return ()
    entries = labels.items()
    if not entries and kind.endswith(LABELS):
        raise labels.fail("the label that is selected in the editor")
    return tuple(
        entry["value"].text() if isinstance(entry.value, dict) else entry.text() for entry in entries
    )


def _span(ends: list[float], size: int) -> tuple[float, float]:
    """Return the lowest and highest of ``ends``, clamped to [0, size] and at least one pixel apart."""
    low = min(max(min(ends), 0.0), size - 1.0)
    return low, max(min(max(ends), float(size)), low + 1.0)
