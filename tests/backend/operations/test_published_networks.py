"""The table of what can be imported by name."""

from __future__ import annotations

import re

import pytest

from backend.operations.download import DownloadError
from backend.operations.published_networks import BY_HAND, PUBLISHED, find
from model.networks import NETWORKS


def test_every_entry_is_whole() -> None:
    assert len(PUBLISHED) == 3
    for name, there in PUBLISHED.items():
        assert find(name) is there
        assert there.network in NETWORKS
        assert re.fullmatch(r"https://github\.com/[\w/.]+\.pth", there.address)
        assert there.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", there.sha256)
    assert len({there.address for there in PUBLISHED.values()}) == 3


def test_what_only_a_person_can_fetch_is_told_where() -> None:
    for name, (file, _) in BY_HAND.items():
        assert name in NETWORKS
        with pytest.raises(
            DownloadError, match=rf"open https://drive\.\S+ in a browser.* models import {file}`"
        ):
            find(name)


def test_other_names() -> None:
    assert find("ritm") is None
    assert find("x.pth") is None
