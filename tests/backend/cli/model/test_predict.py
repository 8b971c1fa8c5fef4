"""`clickmask predict`: the shipped model cuts a drawn object out of a drawn picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from backend.cli import main
from model.evaluation.clicker import next_click
from tests.e2e.photos import iou, jpeg, two_bodies
from tests.outgoing_calls import outgoing_calls

GOOD = 0.85


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLICKMASK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLICKMASK_DEVICE", "cpu")
    monkeypatch.setenv("CLICKMASK_THREADS", "1")
    return tmp_path


def mask(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)) > 0


@pytest.mark.parametrize("orientation", [1, 6])
def test_clicks_cut_out_an_object(environment, orientation):
    image, red, _ = two_bodies()
    photo = environment / "photo.jpg"
    photo.write_bytes(jpeg(image, orientation))
    found, clicks = np.zeros_like(red), []
    while iou(found, red) < GOOD and len(clicks) < 8:
        click = next_click(red, found, [])
        assert click is not None
        clicks.append(f"--click={click.x},{click.y}" if click.positive else f"--negative={click.x},{click.y}")
        answer = CliRunner().invoke(main, ["predict", str(photo), *clicks], catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
        found = mask(environment / "photo-mask.png")
        assert found.shape == red.shape
    assert iou(found, red) >= GOOD


def test_a_box_is_enough(environment):
    image, _, yellow = two_bodies()
    photo, target = environment / "photo.jpg", environment / "yellow.png"
    photo.write_bytes(jpeg(image))
    answer = CliRunner().invoke(main, ["predict", str(photo), "--box", "375,130,555,330", "-o", str(target)])
    assert answer.exit_code == 0, answer.output
    assert "base-1-" in answer.output
    assert iou(mask(target), yellow) > GOOD


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--click", "700,10"], "700,10 is outside the image, which is 640 x 480 pixels"),
        (["--click", "10"], "'10': write x,y"),
        (["--box", "1,2,3,four"], "write x0,y0,x1,y1"),
        (["--box", "555,330,375,130"], "write its top left corner, then its bottom right one"),
        (["--box", "640,0,700,50"], "640,0,700,50 holds nothing of the image, which is 640 x 480 pixels"),
        (["--box", "1,nan,30,40"], "holds nothing of the image"),
        (["--negative", "1,1"], "say where the object is"),
        (["--click", "1,1", "--model", "nonsense"], "no model version"),
        (["--click", "1,1", "-o", "mask.xyz"], "write a name such as mask.png"),
    ],
)
def test_what_cannot_be_done_is_said(environment, arguments, said):
    photo = environment / "photo.jpg"
    photo.write_bytes(jpeg(two_bodies()[0]))
    answer = CliRunner().invoke(main, ["predict", str(photo), *arguments])
    assert answer.exit_code in (1, 2)
    assert said in answer.output
    assert not (environment / "photo-mask.png").exists()


def test_a_file_that_is_no_image_is_refused(environment):
    text = environment / "notes.txt"
    text.write_text("no image")
    answer = CliRunner().invoke(main, ["predict", str(text), "--click", "1,1"])
    assert answer.exit_code == 1
    assert "Traceback" not in answer.output


def test_nobody_is_called_and_nothing_is_left_at_home(environment):
    """Whatever an operator has not configured stays on the machine."""
    image, _, _ = two_bodies()
    (environment / "photo.jpg").write_bytes(jpeg(image))
    command = ["predict", str(environment / "photo.jpg"), "--click", "200,250"]
    code = f"from backend.cli import main; main({command!r}, standalone_mode=False)"
    assert outgoing_calls(code, environment / "empty", CLICKMASK_DEVICE="auto") == []
    assert list((environment / "empty").iterdir()) == []
