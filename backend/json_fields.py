"""Typed access to the fields of a JSON body, with errors that name the field, its value and the fix."""

from __future__ import annotations

import reprlib
from typing import Any

from model.errors import ClickmaskError

_MISSING: Any = object()
MOST_DIGITS = 18  # of a number that a database gives


class RequestError(ClickmaskError, ValueError):
    """A request body that cannot be understood.

    Attributes:
        path: the field, for example ``params.context.result[0].value.x``.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class Field:
    """One value of a JSON document together with its path. Children are reached with ``field["key"]``."""

    def __init__(self, value: Any, path: str = "body") -> None:
        self.value = value
        self.path = path

    def __getitem__(self, key: str) -> Field:
        path = key if self.path == "body" else f"{self.path}.{key}"
        return Field(self.mapping().get(key, _MISSING), path)

    @property
    def absent(self) -> bool:
        """True where the key is missing or null."""
        return self.value is _MISSING or self.value is None

    def fail(self, expected: str) -> RequestError:
        """Return the error to raise when this field is not what ``expected`` says."""
        got = "missing" if self.value is _MISSING else f"got {reprlib.repr(self.value)}"
        return RequestError(self.path, f"{got}; send {expected}")

    def mapping(self) -> dict[str, Any]:
        """Return the value as an object."""
        if not isinstance(self.value, dict):
            raise self.fail("an object")
        return self.value

    def items(self) -> list[Field]:
        """Return the elements of a list."""
        if not isinstance(self.value, list):
            raise self.fail("a list")
        return [Field(value, f"{self.path}[{index}]") for index, value in enumerate(self.value)]

    def text(self) -> str:
        """Return a string that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            raise self.fail("a string that is not empty")
        return self.value

    def number(self, low: float, high: float, unit: str) -> float:
        """Return a number in [low, high]; ``unit`` goes into the message."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(f"a number ({unit})")
        # NaN fails every comparison.
        if not low <= value <= high:
            raise self.fail(f"a number from {low:g} to {high:g} ({unit})")
        return float(value)

    def integer(self, low: int, high: int) -> int:
        """Return a whole number in [low, high]; 320.0 is one, too."""
        value = self.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fail(f"a whole number from {low} to {high}")
        return value

    def records(self) -> tuple[dict[str, Any], ...]:
        """Return the objects of an optional list; what is not an object is left out."""
        if self.absent:
            return ()
        return tuple(field.value for field in self.items() if isinstance(field.value, dict))


def elements(value: Any) -> list[Any]:
    """Return a list's elements, none for anything else."""
    return value if isinstance(value, list) else []


def project_number(value: Any) -> int | None:
    """Return the number of a project in any form that Label Studio or a person sends; None for anything else.

    Known forms: ``"12.1700000000"`` (number and time of creation, in /setup and /predict), ``{"id": 12}`` (in
    webhooks), ``12`` and ``"12"``.
    """
    value = value.get("id") if isinstance(value, dict) else value
    head = str(value).partition(".")[0] if isinstance(value, str | int | float) else ""
    return int(head) if head.isdecimal() and len(head) <= MOST_DIGITS else None
