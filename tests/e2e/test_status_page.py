"""The status page in a real browser: phone and desk, light and dark, without JavaScript and without other hosts."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rq import Worker
from rq.job import JobStatus
from werkzeug.serving import make_server

from backend.jobs import object_clicks
from backend.jobs.policy import policy
from backend.settings import Settings
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome, remember
from fine_tune.project.scheduler import Scheduler
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, backend_of, running, settings_for

PHONE, DESK = {"width": 375, "height": 740}, {"width": 1280, "height": 900}
LONG = "https://images.example.com/" + "a-path-without-any-space" * 8  # what would make a page wide
READABLE = 4.5  # contrast of text, as WCAG 2 asks for at level AA

# Of every element with text of its own: the text, and the contrast of its colour with what lies behind it.
_CONTRAST = """() => {
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const told = [];
  for (const node of document.body.querySelectorAll('*')) {
    const own = [...node.childNodes].filter(n => n.nodeType === 3 && n.data.trim()).map(n => n.data.trim()).join(' ');
    if (!own || node.tagName === 'STYLE') continue;
    const style = getComputedStyle(node), svg = node instanceof SVGElement;
    const [a, b] = [light(rgb(svg ? style.fill : style.color)), light(behind(node))].sort((x, y) => y - x);
    told.push([own, (a + 0.05) / (b + 0.05)]);
  }
  return told;
}"""


def fill(client: Any, settings: Settings) -> None:
    """A Redis in which much has happened."""
    ledger, scheduler = Ledger(client), Scheduler(client, policy(settings))
    for number, version in enumerate(["base-1-0a1b2c3d"] * 8 + ["project-77-1-0a1b2c3d"] * 8):
        prompts = [f"k{i}" for i in range(2 if "project" in version else 4 + number % 2)]
        meta = {"model_version": version, "prompts": prompts, "clicks": len(prompts)}
        region = {"id": "cm0123456789ab", "type": "brushlabels", "meta": meta, "value": {}}
        annotation = {"id": number, "task": number, "updated_at": "2026", "result": [region]}
        ledger.record("ANNOTATION_CREATED", {"annotation": annotation, "project": {"id": 77}})
        object_clicks.note(client, 77, [object_clicks.without_result(annotation)])
    curves = ([0.5, 0.62, 0.71, 0.8], [0.61, 0.74, 0.85, 0.91])
    metrics = {
        w: {"clickers": {"classic": {"curve": c}}} for w, c in zip(("before", "after"), curves, strict=True)
    }
    remember(
        client,
        77,
        Outcome("promoted", f"better: {LONG}", "project-77-1-0a1b2c3d", {}, metrics, [LONG], seconds=240),
    )
    client.hset("clickmask:quality:77", "1/cm", json.dumps({"task": 1, "annotator": LONG, "iou": 0.93}))
    running_job = scheduler.request(77, "asked for in Label Studio")
    phases = [
        {"name": name, "share": share, "seconds": 1.0, "left_s": 50}
        for name, share in (("training", 0.5), ("judging", 0))
    ]
    running_job.meta.update(
        phase="training", share=0.5, eta_s=100, phases=phases, step=180, steps=360, loss=0.25
    )
    running_job.save_meta()
    running_job.set_status(JobStatus.STARTED)
    scheduler.request(78, "20 new annotations")
    Worker([scheduler.queue], connection=client).register_birth()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, images_of_page: ImageServer) -> Iterator[str]:
    """The page of a backend with a real Redis behind it."""
    with contextlib.ExitStack() as stack:
        redis = RedisServer(tmp_path_factory.mktemp("r"))
        stack.callback(redis.stop)
        redis.start()
        settings = settings_for(tmp_path_factory.mktemp("home"), images_of_page, redis_url=redis.url)
        fill(redis.client(), settings)
        app = stack.enter_context(running(settings))
        backend_of(app).metrics.refuse("image", 4, f"{LONG} cannot be had")
        server = make_server("127.0.0.1", 0, app, threaded=True)
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture(scope="module")
def images_of_page() -> Iterator[ImageServer]:
    server = ImageServer()
    yield server
    server.close()


@pytest.fixture(
    params=[(PHONE, "light"), (PHONE, "dark"), (DESK, "light"), (DESK, "dark")],
    ids=lambda p: f"{p[0]['width']}-{p[1]}",
)
def page(browser: Any, url: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    size, scheme = request.param
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page = context.new_page()
    page.asked = []
    page.on("request", lambda sent: page.asked.append(sent.url))
    page.goto(url)
    yield page
    context.close()


def test_it_fits_and_can_be_read(page: Any, url: str) -> None:
    wide, room = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= room, "the page scrolls sideways"
    texts = page.evaluate(_CONTRAST)
    assert len(texts) > 25
    assert not [(text, round(contrast, 2)) for text, contrast in texts if contrast < READABLE]
    assert all(address.startswith(url) for address in page.asked), "something was asked of another host"
    dark = page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
    colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(","))) < 200) is dark
    box = page.locator("svg.chart").bounding_box()
    assert box["width"] > 250 and box["height"] > 80


def test_everything_is_said_without_javascript(browser: Any, url: str) -> None:
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)
    page = context.new_page()
    page.goto(url)
    text = " ".join(page.inner_text("body").split())
    for part in (
        "is ready",
        "clicks saved so far",
        "8 accepted objects took 2.0 clicks each with this project's models, 8 took 4.5 with the base model",
        "IoU after 3 clicks: 0.71 before, 0.85 after",
        "promoted project-77-1-0a1b2c3d",
        "project 77 started: training, about 1:40 minutes left",
        "project 78 queued: waits for 1 other job, begins in about 1:40 minutes",
        "cannot be had Run clickmask doctor PROJECT",
        "predicted IoU 0.93 on average",
    ):
        assert part in text
    context.close()
