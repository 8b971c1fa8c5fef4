"""The doctor's findings that need no Label Studio; tests/e2e/test_operation.py has the others."""

from itertools import takewhile
from pathlib import Path

import pytest

from backend.operations.doctor import FAIL, OK, WARN, Finding, examine
from backend.settings import Settings
from model.versions import checkpoint, registry
from model.versions.registry import Registry
from tests.backend.published_models import CARD, network
from tests.s3_server import ObjectStore


def test_newer_packaged_weights_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PACKAGED", tmp_path / "packaged")
    checkpoint.save(tmp_path / "packaged", network(0), CARD)
    settings = Settings(home=tmp_path / "home", device="cpu", threads=1)

    def found() -> list[Finding]:
        return list(takewhile(lambda finding: finding.subject == "model", examine(settings)))

    assert [finding.level for finding in found()] == [OK]
    (tmp_path / "packaged").rename(tmp_path / "old")
    checkpoint.save(tmp_path / "packaged", network(1), CARD)
    assert [finding.level for finding in found()] == [OK, WARN]
    assert f"clickmask models import {tmp_path / 'packaged'} --promote" in found()[1].text


def test_a_registry_that_cannot_be_reached_is_named(tmp_path: Path, object_store: ObjectStore) -> None:
    settings = Settings(home=tmp_path, registry=object_store.url, device="cpu", threads=1)
    Registry(tmp_path, object_store.url).ensure_base()

    def found() -> list[Finding]:
        return [finding for finding in examine(settings) if finding.subject in ("registry", "model")]

    assert [finding.level for finding in found()] == [OK]
    object_store.stop()
    registry, served = found()
    assert (
        registry.level == FAIL and object_store.url in registry.text and "CLICKMASK_REGISTRY" in registry.text
    )
    assert served.level == OK, "copies serve"
