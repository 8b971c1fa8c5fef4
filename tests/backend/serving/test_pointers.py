"""What is promoted, as last read."""

import pytest

from backend.serving.pointers import Pointers
from model.versions.registry import Registry
from tests.backend.published_models import add


def test_a_pointer_is_read_again_when_it_is_old(registry: Registry) -> None:
    pointers = Pointers(registry)
    assert pointers.current("project-7", 60) is None
    own = add(registry, "project-7")
    assert pointers.current("project-7", 60) is None
    assert pointers.current("project-7", -1) == own


def test_what_cannot_be_read_is_as_it_was(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    pointers, own = Pointers(registry), add(registry, "project-7")
    pointers.current("project-7", 60)
    monkeypatch.setattr(registry, "current", lambda line: (_ for _ in ()).throw(OSError("gone")))
    assert pointers.current("project-7", -1) == own
    assert pointers.current("project-8", -1) is None


def test_only_so_many_lines_are_remembered(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.serving.pointers.MOST", 3)
    pointers, read = Pointers(registry), list[str]()
    monkeypatch.setattr(registry, "current", read.append)
    for line in ("project-1", "project-2", "project-3", "project-4", "project-4", "project-1"):
        pointers.current(line, 60)
    assert read == ["project-1", "project-2", "project-3", "project-4", "project-1"]
