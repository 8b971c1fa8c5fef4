"""A running backend for tests: the real application, a small real model, and images from a real web server."""

from __future__ import annotations

import dataclasses
import io
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from backend.assembly import Backend
from backend.settings import Settings
from backend.web import learning
from backend.web.app import create_app
from model.versions.registry import Registry
from tests.backend.http_server import Web, send
from tests.backend.published_models import add
from tests.waiting import PATIENCE_S


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A smooth colourful image, HxWx3 uint8."""
    small = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def png(pixels: np.ndarray) -> bytes:
    """The image as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class ImageServer(Web):
    """In Label Studio's place: answers every path with an image of its own, or with what a test puts there."""

    def __init__(self) -> None:
        super().__init__()
        self.size = (200, 100)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.otherwise = self._image

    @property
    def asked(self) -> list[str]:
        """Paths that were asked for, in order."""
        return self.paths()

    def close(self) -> None:
        """Stop it."""
        self.gate.set()
        super().close()

    def _image(self, handler: BaseHTTPRequestHandler) -> None:
        self.gate.wait(30)
        drawn = 200, png(picture(*self.size, seed=zlib.crc32(handler.path.encode())))
        send(handler, *self.answers.get(handler.path, drawn))


def settings_for(home: Path, images: ImageServer, **changes: Any) -> Settings:
    """Settings of a backend with a base model of random weights in ``home``."""
    registry = Registry(home)
    if registry.current("base") is None:
        add(registry)
    # On a busy machine anything may take long, and these tests are not about time.
    settings = Settings(home=home, label_studio_url=images.url, device="cpu", threads=1, deadline_s=100)
    return dataclasses.replace(settings, **changes)


@contextmanager
def running(settings: Settings, wait: bool = True) -> Iterator[Flask]:
    """The application, its base model loaded; what is learned is waited for, however busy the machine."""
    with patch.object(learning, "FIRST_S", PATIENCE_S):
        app = create_app(settings)
        try:
            if wait:
                backend_of(app).models.take(None, PATIENCE_S)
            yield app
        finally:
            backend_of(app).close()


def backend_of(app: Flask) -> Backend:
    """What is behind the routes."""
    return app.extensions["clickmask"]


def regions(client: FlaskClient, body: Any) -> list[dict[str, Any]]:
    """The regions that ``/predict`` answers to an interactive body."""
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return answer.json["results"][0]["result"]
