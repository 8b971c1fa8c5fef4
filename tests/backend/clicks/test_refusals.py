"""Every word that a click without a mask is counted under has a fix, and stands in the troubleshooting page."""

from __future__ import annotations

import re
from pathlib import Path

from backend.clicks.refusals import ERRORS, FIXES, reason_of
from backend.images.address import ImageError
from backend.serving.model_pool import NotReady
from model.errors import ClickmaskError

ROOT = Path(__file__).parents[3]


def test_every_reason_has_a_fix() -> None:
    modules = ("clicks/service", "clicks/prelabelling", "web/app")
    sources = [(ROOT / f"backend/{name}.py").read_text() for name in modules]
    named = set(re.findall(r'refuse\(\s*(?:request,\s*)?"(\w+)"', "".join(sources)))
    assert {"no_click", "empty_mask", "error", "proposals_late", "request"} <= named
    assert named | set(ERRORS.values()) == FIXES.keys()


def test_every_reason_is_in_the_troubleshooting_page() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    assert not [word for word in FIXES if f"| `{word}` |" not in page]


def test_errors_are_named() -> None:
    assert reason_of(ImageError("gone")) == "image"
    assert reason_of(NotReady("loading")) == "not_ready"
    assert reason_of(ClickmaskError("other")) == "error"
