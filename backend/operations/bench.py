"""How long a click takes: whole requests through the whole application, stage by stage.

Requests are what Label Studio sends, with accepted masks in the draft; images come over HTTP from this machine, so
that a first click pays for decoding and not for a network.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.assembly import Backend
from backend.label_studio.mask_formats import rle
from backend.settings import Settings
from backend.web.app import create_app
from model.errors import ClickmaskError

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image" smart="false"><Label value="Object"/><Label value="Other"/></BrushLabels>
<KeyPointLabels name="kp" toName="image" smart="true"><Label value="Object"/><Label value="Other"/></KeyPointLabels>
</View>"""
# Where to click, as shares of the object's half axes from its centre; beyond 1 is outside.
CLICKS = ((0.0, 0.0, True), (0.6, 0.3, True), (1.4, 0.9, False), (-0.5, -0.6, True), (-1.3, 0.4, False))

SDK = """
import sys, time
import numpy as np
from label_studio_sdk.converter.brush import mask2rle
masks = np.load(sys.argv[1])
for name in masks.files:
    mask = masks[name]
    begin = time.perf_counter()
    mask2rle(mask)
    print(time.perf_counter() - begin)
"""


class BenchError(ClickmaskError, RuntimeError):
    """Something cannot be measured; the message says what."""


Times = dict[str, list[float]]


@dataclasses.dataclass
class Sizes:
    """Measurements for one image size, in seconds.

    Attributes:
        first: by stage, first clicks on new images; `total` is the request as a whole.
        later: by stage, the clicks that follow.
        masks: HxW bool, what was answered.
    """

    width: int
    height: int
    first: Times
    later: Times
    masks: list[np.ndarray]


def measure(
    settings: Settings, sizes: list[tuple[int, int]], rounds: int, tell: Callable[[str], None]
) -> tuple[str, str, list[Sizes]]:
    """Click through `rounds` new images of each (width, height).

    Returns:
        Name of the model version, what it runs on, and the measurements.

    Raises:
        NotReady: the model cannot be loaded.
    """
    with _Images() as images:
        stages = Stages()
        app = create_app(dataclasses.replace(settings, label_studio_url=images.url), stages.add)
        backend: Backend = app.extensions["clickmask"]
        try:
            tell("loading the model")
            served = backend.models.take(None, 300)
            bench = _Bench(stages, app.test_client().post, images)
            results = []
            for width, height in sizes:
                tell(f"{width}x{height}")
                results.append(bench.size(width, height, rounds))
            return served.version, served.device, results
        finally:
            backend.close()


class Stages(defaultdict[str, float]):
    """Adds up the seconds of each stage."""

    def __init__(self) -> None:
        super().__init__(float)

    def add(self, stage: str, seconds: float) -> None:
        """Take a measurement."""
        self[stage] += seconds


class _Bench:
    def __init__(self, stages: Stages, post: Callable[..., Any], images: _Images) -> None:
        self._post, self._images, self._stages = post, images, stages

    def size(self, width: int, height: int, rounds: int) -> Sizes:
        """Measure one image size; one round before does not count."""
        result = Sizes(width, height, defaultdict(list), defaultdict(list), [])
        accepted: list[dict[str, Any]] = []
        for number in range(rounds + 1):
            path = f"/data/upload/0/{width}x{height}-{number}.jpg"
            pixels, centre, axes = photo(width, height, seed=number)
            self._images.files[path] = cv2.imencode(".jpg", pixels[..., ::-1])[1].tobytes()
            for count in range(1, len(CLICKS) + 1):
                clicks = [_keypoint(k, centre, axes, (width, height)) for k in range(count)]
                regions, times = self._request(path, clicks, accepted)
                if number:
                    for stage, seconds in times.items():
                        (result.first if count == 1 else result.later)[stage].append(seconds)
                    for region in regions:
                        result.masks.append(rle.decode(region["value"]["rle"], height, width) > 127)
            # What the draft of a task with some objects looks like; of another label, as nothing is corrected.
            accepted = (accepted + [_other(region) for region in regions])[-3:]
        return result

    def _request(
        self, path: str, clicks: list[dict[str, Any]], accepted: list[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], dict[str, float]]:
        task = {"id": 1, "data": {"image": path}, "annotations": [], "predictions": []}
        draft = {"id": 1, "user": "bench@example.com", "result": accepted}
        params = {"login": None, "password": None, "context": {"result": clicks}}
        body = {"tasks": [{**task, "drafts": [draft]}], "label_config": CONFIG, "params": params}
        data = json.dumps(body).encode()
        self._stages.clear()
        begin = time.perf_counter()
        answer = self._post("/predict", data=data, content_type="application/json")
        total = time.perf_counter() - begin
        if answer.status_code != 200:
            raise BenchError(f"/predict answered {answer.status_code}: {answer.text[:200]}")
        times = {**self._stages, "http": total - sum(self._stages.values()), "total": total}
        return answer.json["results"][0]["result"], times


def compare_rle(masks: list[np.ndarray], sdk_python: str, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds to encode each mask with our encoder, and with Label Studio's SDK run by another Python.

    Args:
        masks: HxW bool.
        sdk_python: interpreter that can import label_studio_sdk.
        folder: for a temporary file.

    Raises:
        BenchError: that interpreter cannot do it.
    """
    ours = []
    for mask in masks:
        begin = time.perf_counter()
        rle.encode(mask)
        ours.append(time.perf_counter() - begin)
    file = folder / "masks.npz"
    np.savez(file, *[mask.astype(np.uint8) * 255 for mask in masks])
    command = [sdk_python, "-c", SDK, str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        raise BenchError(f"{sdk_python} cannot run label_studio_sdk: {reason}") from None
    return ours, [float(line) for line in done.stdout.split()]


def photo(width: int, height: int, seed: int) -> tuple[np.ndarray, tuple[float, float], tuple[float, float]]:
    """A picture with grain, and on it an object: HxWx3 uint8 RGB, its centre and half axes in pixels."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(
        rng.integers(60, 140, (5, 7, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    centre = (float(rng.uniform(0.4, 0.6) * width), float(rng.uniform(0.4, 0.6) * height))
    axes = (float(rng.uniform(0.15, 0.25) * width), float(rng.uniform(0.2, 0.3) * height))
    inside = np.zeros((height, width), np.uint8)
    cv2.ellipse(
        inside, (round(centre[0]), round(centre[1])), (round(axes[0]), round(axes[1])), 0, 0, 360, 1, -1
    )
    colours = np.array(rng.integers(150, 255, 3), np.uint8)
    pixels = np.where(inside[..., None] > 0, colours, ground)
    grain = rng.integers(0, 24, (height, width, 1), np.uint8)
    return pixels + grain.clip(max=255 - int(pixels.max())), centre, axes


def _keypoint(
    number: int, centre: tuple[float, float], axes: tuple[float, float], size: tuple[int, int]
) -> dict[str, Any]:
    dx, dy, positive = CLICKS[number]
    x, y = (100 * (c + d * a) / s for c, d, a, s in zip(centre, (dx, dy), axes, size, strict=True))
    return {
        "id": f"click{number}",
        "type": "keypointlabels",
        "from_name": "kp",
        "to_name": "image",
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "is_positive": positive,
        "value": {"x": x, "y": y, "width": 0.2, "labels": ["Object"], "keypointlabels": ["Object"]},
    }


def _other(region: dict[str, Any]) -> dict[str, Any]:
    return {**region, "value": {**region["value"], "brushlabels": ["Other"]}}


class _Images:
    """Files by path over HTTP on this machine, in Label Studio's place."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        files = self.files

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = files.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> _Images:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
