"""Label Studio down, slow, and answering HTML where JSON or an image is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from tests.backend.http_server import answers
from tests.drills.installation import DEADLINE_S, SLACK_S, Installation
from tests.drills.results import note

PAGE = b"<!DOCTYPE html><html><body>Sign in</body></html>"
NEW = "/data/upload/3/{}.png"


@pytest.fixture(scope="module", autouse=True)
def silence(place: Installation) -> Iterator[None]:
    """Nothing that happens here is worth a traceback or an internal error."""
    yield
    place.assert_quiet()


@contextmanager
def answering(place: Installation, answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[None]:
    """Label Studio answers everything so, images included."""
    before = dict(place.studio.routes)
    place.studio.routes.update(dict.fromkeys(before, answer))
    try:
        yield
    finally:
        place.studio.routes.update(before)


def refused(place: Installation, image: int) -> float:
    """Click an image that cannot be had; returns the seconds that took. The log must say why there is no mask."""
    before, begin = len((place.folder / "serve.log").read_text()), time.monotonic()
    assert place.predict(image)["result"] == []
    took = time.monotonic() - begin
    assert took < DEADLINE_S + SLACK_S
    lines = (place.folder / "serve.log").read_text()[before:]
    assert "WARNING" in lines, lines
    return took


def test_a_label_studio_that_fails(place: Installation) -> None:
    assert place.accept(1) == 202
    place.click(1)
    with answering(place, answers(502, b"bad gateway")):
        place.click(1)
        took = refused(place, 2)
        assert "(502)" in place.fails()
    place.learns()
    place.click(2)
    note(
        "Label Studio down (502)",
        "clicks on new images are refused with a reason; a job says so and is tried again",
        f"refused after {took:.2f} s",
    )


def test_a_label_studio_that_answers_html(place: Installation) -> None:
    assert place.accept(2) == 202
    with answering(place, answers(200, PAGE, Content_Type="text/html")):
        took = refused(place, 3)
        assert "JSON" in place.fails()
    place.learns()
    place.click(3)
    note(
        "Label Studio answers HTML (a sign-in page of a proxy)",
        "the same; the job says that it is no JSON, and asks whether LABEL_STUDIO_URL is right",
        f"refused after {took:.2f} s",
    )


def test_a_label_studio_that_is_slow(place: Installation) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(40):
            time.sleep(1)
            handler.wfile.write(b"x")

    assert place.accept(3) == 202
    with answering(place, drip):
        took = refused(place, 4)
        alive = time.monotonic()
        assert place.asked("GET", "/health") == 200
        assert time.monotonic() - alive < SLACK_S
    back = time.monotonic()
    # The download goes on for 20 s at most, and clicks share it until then.
    place.wait("an answer", lambda: place.predict(4)["result"], pause_s=1)
    waited = time.monotonic() - back
    place.learns()
    note(
        "Label Studio slow (a byte a second)",
        "a click ends at its deadline, and is refused with a reason; /health answers meanwhile",
        f"refused after {took:.1f} s; answered {waited:.0f} s after Label Studio is well",
    )
