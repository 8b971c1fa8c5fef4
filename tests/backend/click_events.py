"""Answers and events of a disk that grows with every click."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.label_studio.predict_request import Prompt
from backend.review.click_log import Answered, ClickEvent
from model.click import Click

SIDE = 80


def disk_map(radius: float) -> np.ndarray:
    """A map, SIDExSIDE uint8, that is sure of a disk in the middle."""
    return (np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE // 2)) < radius) * np.uint8(250)


def answered(*ids: str, task: int = 7, **values: object) -> Answered:
    """The answer to clicks of these region ids; an id ending in "-" is negative. Any field may be replaced."""
    clicks = tuple(Click(35.0 + 3 * (ord(i[0]) % 5), 40.0, not i.endswith("-")) for i in ids)
    prompt = Prompt(("Cat",), "image", ("kp",), SIDE, SIDE, clicks, tuple(ids))
    usual = Answered(
        project=3,
        task=task,
        annotator="ann@example.com",
        prompt=prompt,
        earlier=(),
        in_force=clicks,
        before=lambda: disk_map(10 + len(ids) - 1) if len(ids) > 1 else None,
        after=disk_map(10 + len(ids)),
        version="base-1-12345678",
        region="cm0123456789ab",
        latency=0.03,
    )
    return replace(usual, **values)  # type: ignore[arg-type]


def events(
    *prompts: tuple[str, ...], start: float = 1000.0, pause: float = 2.0, **values: object
) -> list[ClickEvent]:
    """One event for each tuple of region ids, `pause` seconds apart."""
    return [ClickEvent.of(answered(*ids, **values), start + pause * i) for i, ids in enumerate(prompts)]  # type: ignore[arg-type]
