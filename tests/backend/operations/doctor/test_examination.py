"""The order of the checks, and what becomes of one that fails itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.label_studio.connect import connect, label_config
from backend.operations.doctor import FAIL, examine, installation_checks
from backend.settings import Settings
from tests.backend.connected_studio import ConnectedStudio
from tests.backend.http_server import answers


def test_subjects_come_in_the_order_in_which_a_click_needs_them(home: Path) -> None:
    studio = ConnectedStudio()
    try:
        number = studio.add_project(label_config=label_config(("Cat",)))
        connect(studio.client(), number, "http://127.0.0.1:1", studio.settings())
        studio.web.routes["/api/version"] = answers(200, b'{"release": "1.23.2"}')
        studio.web.routes["/api/current-user/whoami"] = answers(200, b'{"email": "ann@example.com"}')
        settings = studio.settings(home=home, device="cpu", threads=1)
        found = list(examine(settings, number, "http://127.0.0.1:1/"))
    finally:
        studio.close()
    subjects = list(dict.fromkeys(finding.subject for finding in found))
    before = ["model", "redis", "backend", "label studio", "token"]
    assert subjects == [*before, "label config", "connection", "webhook", "image"]


def test_without_label_studio_no_project_is_looked_at(home: Path) -> None:
    found = list(examine(Settings(home=home, device="cpu", threads=1), 3, "http://127.0.0.1:1"))
    assert (found[-1].subject, found[-1].level) == ("label studio", FAIL)


def test_a_check_that_fails_itself_is_a_finding_without_secrets_and_the_others_are_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: Settings) -> None:
        raise OSError("cannot reach redis://:hidden-word@host")

    monkeypatch.setattr(installation_checks, "redis", lambda settings: (broken(settings), (yield))[1])
    settings = Settings(home=home, device="cpu", threads=1, redis_url="redis://:hidden-word@host:1/0")
    found = {finding.subject: finding for finding in examine(settings, url="http://127.0.0.1:1")}
    assert found["redis"].level == FAIL
    assert "cannot reach" in found["redis"].text and "hidden-word" not in found["redis"].text
    assert {"model", "backend", "label studio"} <= found.keys()
