"""Hostile input: bodies and image files damaged at random leave no traceback, no 500 and no hang.

`CLICKMASK_FUZZ` says how many bodies of each route are tried (`make drill` tries 10,000).
"""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from fine_tune.project.ledger import Ledger
from model.image_file import DecodeError, decode
from tests.backend import recordings
from tests.backend.predict_bodies import CONFIG, ONE, keypoint, predict, rectangle
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, backend_of, picture, running, settings_for
from tests.drills.results import note

COUNT = int(os.environ.get("CLICKMASK_FUZZ", 150))
FUZZ = settings(max_examples=COUNT, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
DEADLINE_S = 10.0  # of a click
PORTION = 500  # bodies; Hypothesis remembers all that it tried, 13 MB for a thousand, until it is begun anew
SMALL = {"image_cache_mb": 8, "session_cache_mb": 8}  # caches that are full before memory is looked at
HANGS_S = 60.0  # on a busy machine everything takes long
SOUND = 4  # the project of annotations that are not damaged
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
def damaged(draw: st.DrawFn, path: str) -> bytes:
    """A body of a route with one to four of its values replaced, removed or repeated, and now and then cut off."""
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
    data = json.dumps(body).encode()
    if not draw(st.integers(0, 9)):
        data = data[: draw(st.integers(0, len(data)))] + draw(st.binary(max_size=3))
    return data


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    images, folder = ImageServer(), Path(tempfile.mkdtemp(prefix="cm"))
    redis = RedisServer(folder)
    redis.start()
    home = tmp_path_factory.mktemp("home")
    with running(settings_for(home, images, redis_url=redis.url, deadline_s=DEADLINE_S, **SMALL)) as app:
        yield app
    redis.stop()
    images.close()
    shutil.rmtree(folder)


@contextmanager
def lines_thrown_away() -> Iterator[None]:
    """Write the log nowhere: pytest keeps every line, which is more than what a leak would be."""
    root = logging.getLogger()
    before = root.handlers[:]
    with open(os.devnull, "w") as nowhere:
        root.handlers[:] = [logging.StreamHandler(nowhere)]
        try:
            yield
        finally:
            root.handlers[:] = before


def accept(client: FlaskClient, number: int) -> None:
    """Tell of a sound annotation, as Label Studio does."""
    annotation = {
        "id": number,
        "task": number,
        "updated_at": "2026-01-01T00:00:00.000000Z",
        "result_count": 1,
    }
    body = {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": {"id": SOUND}}
    answer = client.post("/webhook", json=body)
    assert answer.json == {"taken": True}, answer.text


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("path", ["/predict", "/webhook", "/setup"])
def test_damaged_bodies_are_answered(app: Flask, path: str) -> None:
    client, backend, process = app.test_client(), backend_of(app), psutil.Process()
    longest, statuses = 0.0, Counter[int]()

    def answered(body: bytes) -> None:
        nonlocal longest
        begin = time.monotonic()
        answer = client.post(path, data=body, content_type="application/json")
        longest = max(longest, time.monotonic() - begin)
        statuses[answer.status_code] += 1
        assert answer.status_code in ANSWERS, (answer.status_code, answer.text, body)
        assert "Traceback" not in answer.text
        assert isinstance(answer.json, dict)
        if not sum(statuses.values()) % 10:
            accept(client, sum(statuses.values()))

    def tried(count: int, first_seed: int) -> None:
        for begin in range(0, count, PORTION):
            portion = settings(FUZZ, max_examples=min(PORTION, count - begin))
            seed(first_seed + begin)(portion(given(body=damaged(path))(answered)))()

    with lines_thrown_away():
        tried(max(COUNT // 5, 50), first_seed=0)  # caches fill
        before = process.memory_info().rss
        tried(COUNT, first_seed=COUNT)
    growth = process.memory_info().rss / before - 1
    assert growth < 0.2
    assert longest < HANGS_S
    backend.webhooks.flush()
    total = sum(statuses.values())
    known = Ledger(backend.redis.client()).annotations(SOUND)
    assert set(range(10, total + 1, 10)) <= known.keys()
    for page in ("/ready", "/metrics"):
        assert client.get(page).status_code == 200
    assert "Traceback" not in client.get("/", headers={"Accept": "text/html"}).text
    note(
        f"Damaged bodies of {path}",
        ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())),
        f"{total} bodies, longest answer {longest:.1f} s, memory {growth:+.1%}; sound events between them counted",
    )


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
    sound, ends, begin = files(), Counter[str](), time.monotonic()

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
            ends["refused"] += 1
            return
        ends["decoded"] += 1
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3

    decoded()
    took = time.monotonic() - begin
    note(
        "Damaged images",
        f"refused: {ends['refused']}, decoded: {ends['decoded']}",
        f"{took:.0f} s for all of them",
    )
