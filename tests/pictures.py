"""Makes the pictures of the README: `python -m tests.pictures` drives the real Label Studio and the status page.

They go to docs/pictures: a moving one of clicks on a photo, and still ones of the status page of a project that has
learned from drawn cells; `python -m tests.pictures clicks` or `status` makes one kind alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, sync_playwright

from backend.label_studio.client import LabelStudio
from backend.operations import demo_project
from backend.operations.label_studio_server import LabelStudioServer
from tests import commands
from tests.drawn_project import DrawnProject
from tests.e2e.conftest import CHROMIUM, Backend, backend_at, new_studio
from tests.e2e.editor import BROWSER_ARGS, Editor

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
LABEL = "Thing"
# Of coffee.png: the cup, its handle, and not the spoon behind it, as shares of width and height.
CLICKS = ((0.52, 0.32, None), (0.36, 0.68, "Control"), (0.70, 0.18, "Control+Alt"))
# The status page: images that are annotated before and after a job, its training steps, and how it is looked at.
BEFORE, AFTER, STEPS = 26, 8, 60
VIEWS = (
    ("status", {"width": 900, "height": 720}, "light"),
    ("status-phone", {"width": 375, "height": 720}, "dark"),
)
KINDS = ("status", "clicks")
LIMIT = 2_000_000  # bytes of the moving picture


class Film:
    """Frames of a page, with the pointer drawn in, as a screenshot has none."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._frames: list[Image.Image] = []
        self._times: list[int] = []

    def shoot(self, milliseconds: int, pointer: tuple[float, float] | None = None, alt: bool = False) -> None:
        """Add what is to be seen now, for so long."""
        frame = Image.open(io.BytesIO(self._page.screenshot())).convert("RGB")
        if pointer is not None:
            x, y = pointer
            colour = (208, 69, 47) if alt else (42, 157, 80)
            draw = ImageDraw.Draw(frame)
            draw.ellipse((x - 13, y - 13, x + 13, y + 13), outline="white", width=7)
            draw.ellipse((x - 12, y - 12, x + 12, y + 12), outline=colour, width=4)
        self._frames.append(
            frame.resize((frame.width * 2 // 3, frame.height * 2 // 3), Image.Resampling.LANCZOS)
        )
        self._times.append(milliseconds)

    def save(self, path: Path) -> None:
        """Write an endless WebP below `LIMIT`."""
        first, *others = self._frames
        for quality in (80, 60, 40):
            first.save(
                path, save_all=True, append_images=others, duration=self._times, loop=0, quality=quality
            )
            if path.stat().st_size < LIMIT:
                return
        raise AssertionError(f"{path} has {path.stat().st_size} bytes")


def clicks(editor: Editor, project: int, task: int) -> None:
    """The moving picture of clicks."""
    editor.open(project, task)
    editor.tool("key-point-tool")
    editor.label("label", LABEL)
    film = Film(editor.page)
    film.shoot(1200)
    for x, y, key in CLICKS:
        place = editor._at(x, y)
        film.shoot(500, place, alt="Alt" in (key or ""))
        editor.click(x, y, key)
        film.shoot(1300, place, alt="Alt" in (key or ""))
    editor.accept()
    film.shoot(2500)
    film.save(FOLDER / "clicks.webp")


def status_page(browser: Browser, client: LabelStudio, backend: Backend) -> None:
    """The backend's page for people, after an automatic annotator has annotated, and a job has learned from that."""
    project = DrawnProject(client, backend.url, backend.settings, BEFORE + AFTER)
    project.annotate(0, BEFORE)
    environment = {**backend.environment, "CLICKMASK_TRAIN_STEPS": str(STEPS)}
    commands.run(environment, "fine-tune", project.id, "--now").check_returncode()
    time.sleep(5)  # until the web server has the new version
    project.annotate(BEFORE, BEFORE + AFTER)
    time.sleep(10)  # until its figures are gathered
    for name, size, scheme in VIEWS:
        page = browser.new_context(viewport=size, color_scheme=scheme).new_page()
        page.goto(backend.url)
        page.screenshot(path=FOLDER / f"{name}.png")


def film(browser: Browser, studio: LabelStudioServer, client: LabelStudio, backend: Backend) -> None:
    """The moving picture, of the demo's project."""
    project = demo_project.prepare(client, backend.url, backend.settings)
    task = next(t["id"] for t in client.tasks(project) if t["data"]["image"].endswith("coffee.png"))
    clicks(Editor(browser, studio.url, studio.email, studio.password), project, task)


def main(wanted: Sequence[str]) -> None:
    """Make the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        studio = stack.enter_context(new_studio(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        studio.start()
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend, _ = stack.enter_context(backend_at(home, studio.url, studio.token))
        client = LabelStudio(backend.settings)
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=CHROMIUM, args=BROWSER_ARGS
        )
        if "status" in wanted:
            status_page(browser, client, backend)
        if "clicks" in wanted:
            film(browser, studio, client, backend)
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", nargs="?", choices=KINDS, help="make this kind alone")
    chosen = parser.parse_args().kind
    main([chosen] if chosen else KINDS)
