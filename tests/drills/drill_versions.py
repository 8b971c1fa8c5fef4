"""A model version whose files are damaged while it is served, and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backend.annotated_project import PROJECT
from tests.drills.installation import Installation
from tests.drills.results import note

LINE = f"project-{PROJECT}"


def flipped(file: Path) -> None:
    """One bit is another one."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def halved(file: Path) -> None:
    """The second half is missing."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file: Path) -> None:
    """Nothing is in it."""
    file.write_bytes(b"")


def removed(file: Path) -> None:
    """It is gone."""
    file.unlink()


WEIGHTS, CARD = "model.safetensors", "card.json"
DAMAGES = [
    (flipped, WEIGHTS),
    *((damage, name) for damage in (halved, emptied, removed) for name in (WEIGHTS, CARD)),
]
SURVIVED: list[str] = []


@pytest.mark.parametrize(("damage", "name"), DAMAGES)
def test_a_damaged_version_is_not_served(place: Installation, damage, name: str) -> None:
    place.restart()
    assert place.accept(1) == 202
    place.ended(place.request())
    served = place.registry.current(LINE)
    assert served is not None
    place.wait("the new version", lambda: version(place) == served.name)
    damage(served.path / name)
    place.click(1)
    place.restart()
    place.click(1)
    assert version(place) != served.name
    assert place.accept(2) == 202
    place.learns()
    place.wait("a sound version", lambda: version(place) not in (served.name, ""))
    place.click(2)
    place.assert_quiet()
    SURVIVED.append(f"{damage.__name__} {name}")


def test_what_was_measured(place: Installation) -> None:
    note(
        "A served version is damaged (a bit of the weights flipped; weights or card halved, emptied, removed)",
        "an earlier version or the base model answers after a restart; the next job makes a sound one",
        f"{len(SURVIVED)} of {len(DAMAGES)} kinds",
    )
    assert len(SURVIVED) == len(DAMAGES), f"survived: {SURVIVED}"


def version(place: Installation) -> str:
    """Which version answers a click."""
    return str(place.predict(1, PROJECT)["model_version"])
