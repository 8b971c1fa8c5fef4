"""Nothing that users see changes, unless somebody means it: then `python -m tests.golden.make`, and read the diff."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.golden.collect import SECTIONS
from tests.golden.entry import recordings
from tests.golden.make import path_of


@pytest.mark.parametrize("section", SECTIONS)
def test_answers_are_those_of_before(section: str) -> None:
    if section == "recorded" and not recordings():
        pytest.skip("missing: the recordings in the folder shared beside the repository")
    before, now = json.loads(path_of(section).read_text()), json.loads(json.dumps(SECTIONS[section]()))
    assert sorted(now) == sorted(before)
    changed = {name: (before[name], now[name]) for name in before if before[name] != now[name]}
    assert not changed, "\n".join(_difference(name, *pair) for name, pair in changed.items())


def _difference(name: str, before: Any, now: Any) -> str:
    """The first few places in which two answers differ."""
    places = [*_places("", before, now)][:5]
    return "\n".join([f"{name!r} is answered otherwise:", *places])


def _places(path: str, before: Any, now: Any) -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        return [line for k in keys for line in _places(f"{path}.{k}", before.get(k), now.get(k))]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [line for index, pair in pairs for line in _places(f"{path}[{index}]", *pair)]
    return [] if before == now else [f"  {path}: {before!r} -> {now!r}"]
