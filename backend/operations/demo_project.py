"""Prepares the demo's Label Studio project: sample photos, a labeling config, and the backend connected."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import connect, label_config
from backend.settings import Settings
from model.errors import ClickmaskError

TITLE = "clickmask demo"
LABELS = ("Person", "Animal", "Thing")
# Photos that scikit-image's package carries, all public domain or CC0.
PHOTOS = (
    "coffee.png",
    "chelsea.png",
    "astronaut.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "coins.png",
    "camera.png",
)


class DemoError(ClickmaskError, RuntimeError):
    """The demo cannot be set up; the message says what to do."""


def photos() -> list[Path]:
    """Find the sample photos on this machine.

    Raises:
        DemoError: scikit-image is not installed.
    """
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise DemoError("the sample photos are part of scikit-image: pip install scikit-image")
    folder = Path(package.origin).parent / "data"
    return [folder / name for name in PHOTOS if (folder / name).exists()]


def prepare(client: LabelStudio, url: str, settings: Settings) -> int:
    """Make the demo's project or find the one that is there, and connect it to the backend at `url`.

    Returns:
        The project's id.
    """
    project = next((p["id"] for p in client.projects() if p["title"] == TITLE), None)
    if project is None:
        project = client.create_project(
            title=TITLE, label_config=label_config(LABELS), show_collab_predictions=False
        )["id"]
    if next(client.tasks(project), None) is None:  # also where an earlier start was cut short
        client.upload(project, photos())
    connect(client, project, url, settings)
    return int(project)
