"""A click's way through the modules is the one that the page about the architecture tells."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from tests.backend.predict_bodies import ONE, click
from tests.backend.running_app import ImageServer, regions, running, settings_for

ROOT = Path(__file__).parents[2]
AIM = 8


def told() -> list[str]:
    """The modules of the table, in its order."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.split("## The journey of a click")[1].split("\n\n")[1]
    return re.findall(r"^\|[^|]*\| `([\w/]+\.py)`", table, re.MULTILINE)


def test_a_click_enters_the_modules_of_the_table_in_its_order(images: ImageServer, tmp_path: Path) -> None:
    entered: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            entered.setdefault(frame.f_code.co_filename)

    with running(settings_for(tmp_path, images)) as app:
        client = app.test_client()
        threading.setprofile(note)  # the thread that computes begins with the first click
        sys.setprofile(note)
        try:
            assert regions(client, click(ONE))
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    places = list(entered)
    steps = [places.index(str(ROOT / module)) for module in told()]
    assert steps == sorted(steps), dict(zip(told(), steps, strict=True))
    assert len(steps) <= AIM
