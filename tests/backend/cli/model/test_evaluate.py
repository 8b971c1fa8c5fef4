"""The command on a small set with a real, untrained network: figures mean nothing here, their handling does."""

import base64
import json
import os
import shutil

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from backend.cli import main
from model.networks import build
from model.versions import checkpoint
from tests.backend.published_models import CARD

CLICKS = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    network = build("lite0-fpn")
    torch.nn.init.normal_(network.head.weight, std=1.0)
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    checkpoint.save(folder, network, CARD)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for i in range(3):
        mask = np.zeros((48, 64), np.uint8)
        cv2.circle(mask, (20 + 8 * i, 24), 8 + 3 * i, 1, -1)
        image = np.where(mask[..., None] > 0, 200, 60) + rng.integers(-20, 20, (48, 64, 3))
        cv2.imwrite(str(folder / f"images/{i}.png"), image.astype(np.uint8))
        cv2.imwrite(str(folder / f"masks/{i}.png"), mask)
    return folder


@pytest.fixture
def evaluate(tmp_path, monkeypatch, model, data):
    monkeypatch.setenv("CLICKMASK_HOME", str(tmp_path / "home"))

    def run(*arguments, model=model, data=data):
        options = ["--device", "cpu", "--clicks", str(CLICKS), "--data", str(data)]
        return CliRunner().invoke(main, ["evaluate", str(model), *options, *map(str, arguments)])

    return run


def test_table(evaluate):
    result = evaluate("--clicker", "both")
    assert result.exit_code == 0, result.output
    for word in ("shapes", "classic", "noisy", "NoC", "IoU", "≥3", "cpu (torch)", "input 64"):
        assert word in result.stdout


def test_json_is_all_of_stdout(evaluate, model):
    result = evaluate("--json", "--clicker", "both", "--size", "96", "--flip")
    values = json.loads(result.stdout)
    assert (values["size"], values["flip"]) == (96, True)
    assert values["sha256"] == checkpoint.read_card(model)["sha256"]
    assert [(r["set"], r["clicker"]) for r in values["results"]] == [
        ("shapes", "classic"),
        ("shapes", "noisy"),
    ]
    record = values["results"][0]["records"][1]
    assert record["sample"] == "1"
    assert record["clicks"][0] == [28.5, 24.5, True]  # the middle of the disk
    assert len(record["ious"]) == CLICKS


def test_flip_and_size_change_the_figures(evaluate):
    def curve(*arguments):
        return json.loads(evaluate("--json", *arguments).stdout)["results"][0]["curve"]

    plain = curve()
    assert plain == curve()
    assert plain != curve("--flip")
    assert plain != curve("--size", "96")


def test_resume_repeats_nothing_and_reports_the_same(evaluate, tmp_path):
    path = tmp_path / "records.jsonl"
    first = evaluate("--json", "--resume", path)
    lines = path.read_text()
    again = evaluate("--json", "--resume", path)
    assert json.loads(first.stdout) == json.loads(again.stdout)
    assert path.read_text() == lines
    evaluate("--json", "--resume", path, "--flip")
    assert len(path.read_text()) > len(lines)  # another model, in a manner of speaking


def test_resume_tells_sets_of_one_name_and_cards_of_one_folder_apart(evaluate, tmp_path, model, data):
    path, other, own = tmp_path / "records.jsonl", tmp_path / "other" / data.name, tmp_path / "model"
    shutil.copytree(data, other)
    shutil.copytree(model, own)
    counts = []

    def add(where):
        assert evaluate("--resume", path, model=own, data=where).exit_code == 0
        counts.append(len([line for line in path.read_text().splitlines() if line]))

    add(data)
    add(other)
    card = json.loads((own / "card.json").read_text())
    card["encoding"]["radius"] = 3.0
    (own / "card.json").write_text(json.dumps(card))
    add(data)
    add(data)
    assert counts == [3, 6, 9, 9]


def test_masks_that_were_mended_are_measured_again(evaluate, data, tmp_path):
    own, resumed = shutil.copytree(data, tmp_path / "shapes"), ("--resume", tmp_path / "kept")

    def curve(*arguments):
        return json.loads(evaluate("--json", *arguments, data=own).stdout)["results"][0]["curve"]

    before = curve(*resumed)
    mask = own / "masks" / "0.png"
    cv2.imwrite(str(mask), cv2.dilate(cv2.imread(str(mask), cv2.IMREAD_UNCHANGED), np.ones((5, 5))))
    assert before != curve(*resumed) == curve()


def test_pictures(evaluate, tmp_path):
    result = evaluate("--plot", tmp_path / "curve.svg", "--sheet", tmp_path / "worst.png", "--worst", 2)
    assert result.exit_code == 0, result.output
    assert b"<svg" in (tmp_path / "curve.svg").read_bytes()
    sheet = cv2.imread(str(tmp_path / "worst.png"))
    assert sheet.shape[1] > sheet.shape[0]  # two side by side
    refused = evaluate("--plot", tmp_path / "curve.gif")
    assert refused.exit_code == 2
    assert ".png or .svg" in refused.output


def test_an_export_of_label_studio(evaluate, tmp_path):
    picture = np.full((48, 64, 3), 60, np.uint8)
    cv2.rectangle(picture, (10, 10), (40, 30), (200, 200, 200), -1)
    encoded = base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()
    corners = [[10 / 0.64, 10 / 0.48], [41 / 0.64, 10 / 0.48], [41 / 0.64, 31 / 0.48], [10 / 0.64, 31 / 0.48]]
    result = {
        "id": "r1",
        "type": "polygonlabels",
        "to_name": "image",
        "original_width": 64,
        "original_height": 48,
        "value": {"points": corners, "polygonlabels": ["Box"]},
    }
    task = {
        "id": 5,
        "data": {"image": f"data:image/png;base64,{encoded}"},
        "annotations": [{"result": [result]}],
    }
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task]))
    values = json.loads(evaluate("--json", data=path).stdout)["results"][0]
    assert values["set"] == "export.json"
    assert [r["sample"] for r in values["records"]] == ["5#r1"]
    x, y, positive = values["records"][0]["clicks"][0]
    assert positive
    assert 10 < x < 41
    assert 10 < y < 31


def test_a_runs_folder_stands_for_its_checkpoint(evaluate, model):
    assert evaluate("--json", model=model.parent).exit_code == 0


def test_what_cannot_be_measured_is_one_sentence(evaluate, data, tmp_path):
    unknown = evaluate(model="base-9-00000000")
    assert unknown.exit_code == 1
    assert "no version 'base-9-00000000'" in unknown.output
    assert "evaluate them one after the other" in evaluate("--data", data).output
    (tmp_path / "empty").mkdir()
    assert "neither items.json nor a folder images/" in evaluate(data=tmp_path / "empty").output
    odd = evaluate("--size", "50")
    assert (odd.exit_code, "multiple of 32" in odd.output) == (2, True)


def test_the_card_says_how_the_model_is_asked_and_where_its_mask_begins(evaluate, model, data, tmp_path):
    network, card = checkpoint.load(model)
    asked = {"stretch": True, "flip": True, "threshold": 0.0001, "large_size": 96, "large_from": 60}
    checkpoint.save(tmp_path / "other", network, card | {"inference": asked})
    values = json.loads(evaluate("--json", model=tmp_path / "other").stdout)
    assert values["inference"] == asked
    shares = [(cv2.imread(str(path), 0) > 0).mean() for path in sorted(data.glob("masks/*.png"))]
    records = values["results"][0]["records"]
    assert [record["ious"][0] for record in records] == pytest.approx(shares, abs=1e-3)  # all is object
    sized = json.loads(evaluate("--json", "--size", "64", model=tmp_path / "other").stdout)
    assert sized["inference"] == {"stretch": True, "flip": True, "threshold": 0.0001}


def test_names_that_are_no_utf_8_are_measured(evaluate, data, tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "odd" / kind).mkdir(parents=True)
        shutil.copy(data / kind / "0.png", tmp_path / "odd" / kind / os.fsdecode(b"\xe9t\xe9.png"))
    result = evaluate("--resume", tmp_path / "kept", data=tmp_path / "odd")
    assert result.exit_code == 0, result.output
