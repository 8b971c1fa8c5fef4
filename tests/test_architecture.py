"""The house: where modules stand, and that the page about it names what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("backend", "fine_tune", "model")
FOLDERS = sorted(
    {path.parent.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
)
LIMIT = 12


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_no_folder_is_a_corridor(folder: Path):
    modules = [path.name for path in (ROOT / folder).glob("[!_]*.py")]
    limit = 8 if folder == Path("backend") else LIMIT
    assert len(modules) <= limit, f"{folder} has {len(modules)} modules: {sorted(modules)}"


def test_the_architecture_names_modules_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:backend|fine_tune|model|tests)/[\w/.]*)`", text))
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_test_of_a_module_stands_where_the_module_stands():
    tests = [p for package in PACKAGES for p in (ROOT / "tests" / package).rglob("test_*.py")]
    places = {path.parent.relative_to(ROOT / "tests") for path in tests}
    assert len(tests) > 80
    assert not [str(place) for place in places if not (ROOT / place).is_dir()]
