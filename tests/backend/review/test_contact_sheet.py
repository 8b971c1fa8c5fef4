"""A rated object as a panel of the contact sheet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from backend.images.address import ImageError
from backend.images.store import ImageStore
from backend.label_studio.client import LabelStudio
from backend.review.contact_sheet import panel
from backend.review.project_review import ProjectReview
from backend.review.ranking import RatedObject
from backend.settings import Settings
from model.click import Click
from tests.backend.click_events import SIDE, disk_map
from tests.backend.running_app import ImageServer, picture

CONFIG = '<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image"/></View>'
DATA = {"image": "/data/upload/3/a.png"}


@pytest.fixture
def images() -> Iterator[tuple[ImageServer, ImageStore]]:
    server = ImageServer()
    server.size = SIDE, SIDE
    settings = Settings(label_studio_url=server.url, label_studio_api_key="a" * 40)
    yield server, ImageStore(settings, LabelStudio(settings))
    server.close()


@pytest.fixture
def rated(review: ProjectReview) -> RatedObject:
    """The worst object of the project: two clicks, and a disk of 12 pixels."""
    return review.rank().ranking.rated[0]


def test_image_mask_and_clicks_are_drawn_with_the_reasons(images: Any, rated: RatedObject) -> None:
    server, store = images
    drawn = panel(rated, DATA, CONFIG, store)
    assert server.asked == [DATA["image"]]
    assert drawn.image.shape == picture(SIDE, SIDE).shape
    np.testing.assert_array_equal(drawn.mask, disk_map(12) > 0)
    assert not drawn.truth.any(), "nobody knows it"
    assert rated.matched.history is not None
    assert len(drawn.clicks) == 2 and all(isinstance(click, Click) for click in drawn.clicks)
    assert [click.y for click in drawn.clicks] == pytest.approx([40, 40], abs=0.1)
    head, reasons = drawn.title.split("\n")
    assert head == f"task {rated.task}, Cat: {rated.quality.iou:.2f}"
    assert reasons == ", ".join(rated.reasons[:2])


def test_another_image_than_was_annotated_is_refused(images: Any, rated: RatedObject) -> None:
    server, store = images
    server.size = 50, 40
    with pytest.raises(ValueError, match=f"the image is 50x40, its mask {SIDE}x{SIDE}"):
        panel(rated, DATA, CONFIG, store)


def test_an_image_that_is_gone_is_told(images: Any, rated: RatedObject) -> None:
    server, store = images
    server.answers[DATA["image"]] = 404, b""
    with pytest.raises(ImageError, match="no such file"):
        panel(rated, DATA, CONFIG, store)
