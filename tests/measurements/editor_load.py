"""What masks cost Label Studio's editor: brush, bitmask and polygon, with few and with many of them in a task.

`python -m tests.measurements.editor_load` drives the real Label Studio in a real browser and prints a Markdown table;
the answers come from a stand-in that returns one ready mask, so that only Label Studio and the browser are measured.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.server
import io
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import OUTPUTS, label_config
from backend.label_studio.mask_formats import polygon, rle
from backend.settings import Settings
from tests.backend.http_server import Web, send_json
from tests.e2e.conftest import CHROMIUM, new_studio
from tests.e2e.editor import BROWSER_ARGS, Editor
from tests.e2e.photos import ground, jpeg
from tests.label_studio_calls import create_annotation, import_photo

WIDTH, HEIGHT = 1920, 1080
COLUMNS = (
    "kind",
    "masks",
    "open s",
    "accept s",
    "pan ms/frame",
    "zoom ms/frame",
    "heap MB",
    "body kB",
    "saved kB",
)

# Resolves to the mean time of a frame, in ms, while something else moves the view.
FRAMES = """count => new Promise(done => {
  let seen = 0, begin = 0;
  const step = now => { if (!seen++) begin = now; if (seen > count) done((now - begin) / count);
                        else requestAnimationFrame(step) };
  requestAnimationFrame(step);
})"""
REGIONS = "count => Htx.annotationStore.selected.areas.size >= count"


def body(number: int, count: int) -> np.ndarray:
    """One of `count` wavy blobs on a grid over the image, HxW bool."""
    columns = int(np.ceil(np.sqrt(count * WIDTH / HEIGHT)))
    rows = int(np.ceil(count / columns))
    x, y = (number % columns + 0.5) * WIDTH / columns, (number // columns + 0.5) * HEIGHT / rows
    rng, angles = np.random.default_rng(number), np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = 0.42 * min(WIDTH / columns, HEIGHT / rows)
    waves = 1 + sum(
        rng.uniform(-0.08, 0.08) * np.sin(k * angles + rng.uniform(0, 6)) for k in (2, 3, 5, 9, 14)
    )
    points = np.stack([x + radius * waves * np.cos(angles), y + radius * waves * np.sin(angles)], 1)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], 1)
    return mask > 0


def region(kind: str, mask: np.ndarray, identifier: str) -> dict[str, Any]:
    """The mask as a result of Label Studio."""
    value: dict[str, Any] = {f"{kind}labels": ["Cell"]}
    if kind == "brush":
        value |= {"format": "rle", "rle": list(rle.encode(mask))}
    elif kind == "polygon":
        value |= {"points": polygon.from_mask(mask), "closed": True}
    else:
        pixels = np.zeros((*mask.shape, 4), np.uint8)
        pixels[mask] = 255
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        value["imageDataURL"] = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    names = {"from_name": kind, "to_name": "image", "type": f"{kind}labels", "origin": "prediction"}
    return {"id": identifier, **size, **names, "value": value}


class Answers(Web):
    """A backend that answers every click with the same region; `bodies` are the sizes of what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.region: dict[str, Any] = {}
        self.bodies: list[int] = []
        self.otherwise = self._answer

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        data = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if handler.path == "/predict" and (json.loads(data).get("params") or {}).get("context"):
            self.bodies.append(len(data))
            prediction = {"result": [self.region], "score": 1.0, "model_version": "m"}
            send_json(handler, {"results": [prediction]})
        else:
            send_json(handler, {"status": "UP", "model_version": "m", "results": []})


def tasks(
    client: LabelStudio, answers: Answers, kind: str, counts: list[int]
) -> Iterator[tuple[int, int, int, int]]:
    """Make a project of this kind, and a task for each count; yields project, task, count, bytes of the result."""
    project = client.create_project(title=kind, label_config=label_config(["Cell"], [kind]))["id"]
    client.update_project(project, show_collab_predictions=False)
    client.create_ml_backend(project=project, url=answers.url, title="m", is_interactive=True)
    photo = jpeg(ground(HEIGHT, WIDTH))
    for count in counts:
        import_photo(client, project, photo, f"{count}.jpg")
        task = max(t["id"] for t in client.tasks(project))
        result = [region(kind, body(n, count + 1), f"mask{n:04}") for n in range(count)]
        if result:
            create_annotation(client, task, result)
        yield project, task, count, len(json.dumps(result))


def measure(editor: Editor, answers: Answers, project: int, task: int, count: int) -> dict[str, float]:
    """Open a task, move the view, accept one more mask; seconds, ms a frame, MB."""
    page, begin = editor.page, time.perf_counter()
    page.goto("about:blank")
    begin = time.perf_counter()
    page.goto(f"{editor.url}/projects/{project}/data?task={task}")
    page.wait_for_function("() => window.Htx?.annotationStore?.selected", timeout=300_000)
    page.wait_for_function(REGIONS, arg=count, timeout=300_000)
    page.evaluate(FRAMES, 3)
    opened = time.perf_counter() - begin
    editor._toggle("bottombar-auto-annotation-toggle", True)
    editor.tool("key-point-tool")
    editor.label("label", "Cell")
    x, y = ((count % 5) + 0.5) / 5, 0.985  # between the masks: a click on one would select it
    answers.bodies.clear()
    editor.click(x, y)
    begin = time.perf_counter()
    page.get_by_test_id("bottombar-accept-suggestions-button").click()
    page.wait_for_function("() => Htx.annotationStore.selected.suggestions.size === 0", timeout=300_000)
    page.wait_for_function(REGIONS, arg=count + 1, timeout=300_000)
    page.evaluate(FRAMES, 3)
    accepted = time.perf_counter() - begin
    panned, zoomed = moved(editor)
    page.evaluate("() => window.gc && gc()")
    heap = page.evaluate("() => performance.memory.usedJSHeapSize") / 1e6
    return {
        "open": opened,
        "accept": accepted,
        "pan": panned,
        "zoom": zoomed,
        "heap": heap,
        "body": answers.bodies[-1],
    }


def moved(editor: Editor) -> tuple[float, float]:
    """Mean ms of a frame while the view is dragged, and while it is zoomed by the wheel."""
    page, (x, y) = editor.page, editor._at(0.5, 0.5)
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    for _ in range(4):
        page.mouse.wheel(0, -120)
    began = time.perf_counter()
    for turn in range(12):
        page.mouse.wheel(0, 120 if turn % 2 else -120)
        page.evaluate(FRAMES, 1)
    zoomed = (time.perf_counter() - began) / 12 * 1e3
    page.keyboard.up("Control")
    page.keyboard.press("h")  # the hand
    page.mouse.down()
    began = time.perf_counter()
    for step in range(1, 25):
        page.mouse.move(x + 6 * step, y + 3 * step)
        page.evaluate(FRAMES, 1)
    panned = (time.perf_counter() - began) / 24 * 1e3
    page.mouse.up()
    return panned, zoomed


def main() -> None:
    """Print the table; medians over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[0, 5, 20, 60])
    parser.add_argument("--kinds", nargs="+", default=list(OUTPUTS), choices=list(OUTPUTS))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        studio = stack.enter_context(new_studio(folder))
        studio.start()
        environment = {"LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": studio.token}
        client, answers = LabelStudio(Settings.from_env(environment)), Answers()
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=CHROMIUM,
            args=[*BROWSER_ARGS, "--js-flags=--expose-gc", "--enable-precise-memory-info"],
        )
        for kind in options.kinds:
            for project, task, count, size in tasks(client, answers, kind, options.counts):
                answers.region = region(kind, body(count, count + 1), "newmask000")
                rounds = []
                for _ in range(options.rounds):
                    editor = Editor(browser, studio.url, studio.email, studio.password)
                    rounds.append(measure(editor, answers, project, task, count))
                    editor.close()
                middle = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
                print(
                    f"| {kind} | {count} | {middle['open']:.2f} | {middle['accept']:.2f} | {middle['pan']:.0f} "
                    f"| {middle['zoom']:.0f} | {middle['heap']:.0f} | {middle['body'] / 1e3:.0f} "
                    f"| {size / 1e3:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
