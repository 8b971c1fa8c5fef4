"""Reads one keypoint or rectangle as Label Studio sends it, and tells what it means in pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
# How senders write such a flag. The words for a polarity mean it, whatever the flag is called.
_TRUE, _FALSE = {"true", "t", "yes", "y", "on", "1"}, {"false", "f", "no", "n", "off", "0", "-1"}
_POLARITIES = {"positive": True, "pos": True, "+": True, "negative": False, "neg": False, "-": False}


Named = tuple[str, tuple[str, ...]]
Meant = Callable[[str, Sequence[tuple[str, ...]]], tuple[str, ...]]


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
        blank: whether no label is what was selected.
        controls: names of the control that made it, and of those that gave it labels.
        positive: polarity of a keypoint, None where nothing tells.
        width, height: size of the image as the browser shows it, pixels.
        rotation: degrees by which the editor shows it turned; positions do not depend on it.
        item_index: position in a multi-image tag, or None.
        value: the field ``value``.
    """

    id: str
    shape: str
    labels: tuple[str, ...]
    blank: bool
    to_name: str
    controls: tuple[str, ...]
    positive: bool | None
    width: int
    height: int
    rotation: float
    item_index: int | None
    value: Field

    @staticmethod
    def read(entry: Field, named: Sequence[Named] = (), meant: Meant | None = None) -> PromptRegion:
        """Check one element; RequestError names what is wrong with it.

        Args:
            named: the other elements of the same id that give it labels: name of the control and labels of each.
            meant: chooses its labels, as `LabelConfig.meant` does; None takes the first that there are.
        """
        value, kind = entry["value"], entry["type"].text()
        number, index, rotation = entry["id"], entry["item_index"], entry["image_rotation"]
        to_name = entry["to_name"].text()
        labels = (meant or _first)(to_name, _given(value, kind, [labels for _, labels in named]))
        return PromptRegion(
            id="" if number.absent else number.text(),
            shape=shape_of(kind),
            labels=labels,
            blank=not labels and any(not names for _, names in named),
            to_name=to_name,
            controls=(entry["from_name"].text(), *(name for name, _ in named)),
            positive=polarity(entry),
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


def polarity(entry: Field) -> bool | None:
    """Return a keypoint's polarity, None where nothing tells.

    The flag may be on it, its value or its label, and be called is_positive or positive, or say the contrary.

    Raises:
        RequestError: a flag is neither true nor false; a guess would make a wrong mask.
    """
    value = entry["value"]
    known = value if isinstance(value.value, dict) else Field({})
    lists = known["labels"], known[str(entry["type"].value)]
    labels = [label for named in lists if isinstance(named.value, list) for label in named.items()]
    for holder in (entry, known, *labels):
        for name, meaning in _FLAGS.items():
            if isinstance(holder.value, dict) and not holder[name].absent:
                return _polarity(holder[name], meaning)
    return None


def _polarity(flag: Field, meaning: bool) -> bool:
    """Read a flag; ``meaning`` tells whether a true one means positive."""
    if isinstance(flag.value, bool | int | float) and flag.value == flag.value:  # not NaN
        return (flag.value > 0) is meaning
    word = flag.value.strip().lower() if isinstance(flag.value, str) else ""
    if word in _POLARITIES:
        return _POLARITIES[word]
    if word not in _TRUE | _FALSE:
        raise flag.fail("true or false")
    return (word in _TRUE) is meaning


def names_of(entry: Any) -> tuple[str, ...]:
    """Return the label names in a result's value, () for anything without."""
    entry = entry if isinstance(entry, dict) else {}
    value, kind = entry.get("value"), str(entry.get("type"))
    if not isinstance(value, dict) or not kind.endswith(LABELS):
        return ()
    return tuple(name for name in elements(value.get(kind)) if isinstance(name, str) and name)


def side_of(value: Any) -> int:
    """Return a side of an image in pixels, also as other tools write it (320.0, "320"); 0 for what is no size."""
    try:
        size = 0.0 if isinstance(value, bool) else float(value or 0)
    except (TypeError, ValueError, OverflowError):
        size = 0.0
    return int(size) if size.is_integer() and 0 < size <= MAX_SIDE else 0


def _given(value: Field, kind: str, named: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the labels that a prompt has of each control, its own first.

    Where allowEmpty is on in the config, a control with labels of its own sends an empty list, and "" for a label
    without a name: both are none.
    """
    fields = [field for field in (value[kind], value["labels"]) if not field.absent]
    if not fields and not named and kind.endswith(LABELS):
        raise value[kind].fail("the label that is selected in the editor, [] for none")
    return [*(tuple(filter(None, map(_name, field.items()))) for field in fields), *named]


def _name(label: Field) -> str:
    if label.value == "":
        return ""
    return label["value"].text() if isinstance(label.value, dict) else label.text()


def _first(_: str, given: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return next(filter(None, given), ())


def _span(ends: list[float], size: int) -> tuple[float, float]:
    """Return the lowest and highest of ``ends``, clamped to [0, size] and at least one pixel apart."""
    low = min(max(min(ends), 0.0), size - 1.0)
    return low, max(min(max(ends), float(size)), low + 1.0)
