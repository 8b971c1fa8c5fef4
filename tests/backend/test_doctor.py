"""The doctor's findings that need no Label Studio; tests/e2e/test_operation.py has the others."""

from itertools import takewhile
from pathlib import Path

import pytest

from backend.doctor import OK, WARN, Finding, examine
from backend.settings import Settings
from model import checkpoint, registry
from tests.backend.models import CARD, network


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
