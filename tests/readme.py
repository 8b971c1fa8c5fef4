"""The README's file tree, made of the modules' first sentences: `python -m tests.readme` brings it up to date."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PACKAGES = ("backend", "backend/cli", "model", "model/networks", "fine_tune", "fine_tune/quality")
_PLACE = re.compile(r"(<!-- tree -->\n```\n)(.*?)(```)", re.S)


def tree() -> str:
    """One line for each module: its name and what it says of itself."""
    lines = []
    for package in PACKAGES:
        folder = ROOT / package
        lines.append(f"{package + '/':24}{_sentence(folder / '__init__.py')}")
        for path in sorted(folder.glob("[!_]*.py")):
            lines.append(f"  {path.name:22}{_sentence(path)}")
    return "\n".join(lines) + "\n"


def shown() -> str:
    """The tree that the README has."""
    place = _PLACE.search(README.read_text())
    assert place is not None, "the README has no <!-- tree -->"
    return place[2]


def _sentence(path: Path) -> str:
    """The first sentence of a module's docstring, without the name of its command and the full stop."""
    text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0].split())
    return re.sub(r"^`[^`]+`: ", "", re.split(r"\. (?=[A-Z])", text)[0].rstrip("."))


if __name__ == "__main__":
    README.write_text(_PLACE.sub(lambda place: place[1] + tree() + place[3], README.read_text()))
