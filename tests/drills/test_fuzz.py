"""Hostile input: bodies and image files damaged at random leave no traceback, no 500 and no hang.

`CLICKMASK_FUZZ` says how many bodies of each route are tried (`make drill` tries 10,000).
"""

from __future__ import annotations

import copy
import io
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from model.image_file import DecodeError, decode
from tests.backend import recordings
from tests.backend.predict_bodies import CONFIG, ONE, keypoint, predict, rectangle
from tests.backend.running_app import ImageServer, picture, running, settings_for

COUNT = int(os.environ.get("CLICKMASK_FUZZ", 150))
FUZZ = settings(max_examples=COUNT, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
ANSWERS = {200, 202, 400, 401, 403, 413, 415, 503}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=20),
    st.sampled_from(
        ["$image", "keypointlabels", "labels", "<View>", "data:,", "http://169.254.169.254/", "\ud800"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


def bodies(path: str) -> list[Any]:
    """Sound bodies of a route to begin with: our own, and those that were recorded where they are at hand."""
    recorded = [recordings.body(name) for name in recordings.names(path) if name != "no recordings"]
    small = [body for body in recorded if len(json.dumps(body)) < 50_000]
    own: dict[str, list[Any]] = {
        "/predict": [
            predict(ONE, keypoint("k2", 60, 50, positive=False)),
            predict(rectangle("r", 10, 10, 40, 40)),
            {"tasks": [{"id": 1, "data": {}}], "project": "3.1", "label_config": CONFIG, "params": {}},
        ],
        "/webhook": [
            {
                "action": "ANNOTATION_CREATED",
                "project": {"id": 3},
                "annotation": {"id": 5, "task": 7, "result": []},
            },
            {"action": "ANNOTATIONS_DELETED", "project": {"id": 3}, "annotations": [{"id": 5}]},
            {"action": "START_TRAINING", "project": {"id": 3}},
        ],
        "/setup": [{"project": "3.1795333633", "schema": CONFIG, "hostname": "", "access_token": ""}],
    }
    return own[path] + small


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values inside a body."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield (*path, key)
        yield from places(child, (*path, key))


@st.composite
def damaged(draw: st.DrawFn, path: str) -> Any:
    """A body of a route with one to four of its values replaced, removed or repeated."""
    body = copy.deepcopy(draw(st.sampled_from(bodies(path))))
    for _ in range(draw(st.integers(1, 4))):
        found = list(places(body))
        if not found:
            break
        *parents, last = draw(st.sampled_from(found))
        holder = body
        for key in parents:
            holder = holder[key]
        action = draw(st.sampled_from(["replace", "remove", "repeat"]))
        if action == "replace":
            holder[last] = draw(VALUES)
        elif action == "remove":
            del holder[last]
        elif isinstance(holder, list):
            holder.extend([holder[last]] * draw(st.integers(1, 50)))
    return body


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    images = ImageServer()
    with running(settings_for(tmp_path_factory.mktemp("home"), images)) as app:
        yield app
    images.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("path", ["/predict", "/webhook", "/setup"])
def test_damaged_bodies_are_answered(app: Flask, path: str) -> None:
    client, before = app.test_client(), 0

    @FUZZ
    @given(body=damaged(path))
    def answered(body: Any) -> None:
        answer = client.post(path, data=json.dumps(body), content_type="application/json")
        assert answer.status_code in ANSWERS, (answer.status_code, answer.text, body)
        assert "Traceback" not in answer.text
        assert isinstance(answer.json, dict)

    answered()  # caches fill
    before = psutil.Process().memory_info().rss
    answered()
    assert psutil.Process().memory_info().rss < 1.2 * before


def files() -> list[bytes]:
    """A small image in every format."""
    pixels = Image.fromarray(picture(64, 48))
    found = []
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
        buffer = io.BytesIO()
        pixels.save(buffer, kind)
        found.append(buffer.getvalue())
    return found


@pytest.mark.timeout(3600)
def test_damaged_images_are_decoded_or_refused() -> None:
    sound = files()

    @settings(FUZZ, max_examples=max(COUNT // 10, 100))
    @given(
        data=st.sampled_from(sound),
        cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=12)), max_size=4),
        end=st.floats(0.05, 1),
    )
    def decoded(data: bytes, cuts: list[tuple[float, bytes]], end: float) -> None:
        damaged = bytearray(data[: int(len(data) * end)])
        for place, patch in cuts:
            start = int(place * len(damaged))
            damaged[start : start + len(patch)] = patch
        try:
            image = decode(bytes(damaged), 1)
        except DecodeError as error:
            assert str(error)
            return
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3

    decoded()
