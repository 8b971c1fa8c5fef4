"""The commands that make the shipped model, from images to the report."""

import json

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fine_tune.data import bundle
from fine_tune.quality import annotators, corpus
from fine_tune.quality.__main__ import main
from fine_tune.quality.dataset import drawn, listed, pick
from fine_tune.quality.network import card
from model.networks import build
from model.versions import checkpoint
from tests.fine_tune.quality.simulated_steps import records, subject


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An evaluation set of two images, one of them with an object that is too small to train on."""
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    items = []
    for number in range(2):
        made = subject(number)
        ids = made.truth.astype(np.uint8)
        ids[60:90, 70:90] = 2
        cv2.imwrite(str(folder / f"images/{number}.png"), made.image[..., ::-1])
        cv2.imwrite(str(folder / f"masks/{number}.png"), ids)
        items.append(
            {
                "id": str(number),
                "image": f"images/{number}.png",
                "mask": f"masks/{number}.png",
                "object_id": 1,
            }
        )
    items[1]["sequence"] = "film"
    (folder / "items.json").write_text(json.dumps(items))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "weights"
    described = {
        "architecture": {"name": "lite0-fpn", "params": {}},
        "encoding": {"name": "disk", "radius": 5.0},
        "size": 64,
    }
    checkpoint.save(path, build("lite0-fpn"), described)
    return path


def run(*options):
    done = CliRunner().invoke(main, [str(option) for option in options])
    assert done.exit_code == 0, done.output
    return done.output


def test_evaluation_sets_are_listed_with_films_as_one(folder):
    first, second = listed(folder)
    assert first.truth.sum() == subject(0).truth.sum()
    assert (first.name, second.name) == (f"{folder.name}/images/0.png", f"{folder.name}/film")


def test_objects_have_the_neighbour_they_touch():
    ids = np.zeros((60, 60), np.uint8)
    ids[5:35, 5:35], ids[38:58, 5:35], ids[0:2, 58:60] = 1, 2, 3
    truth, neighbour = pick(ids, np.random.default_rng(0))
    assert truth.sum() in (900, 600)
    assert neighbour is not None
    assert {int(truth.sum()), int(neighbour.sum())} == {900, 600}
    assert pick(np.zeros((60, 60), np.uint8), np.random.default_rng(0)) is None


def test_training_sets_are_drawn_without_end(folder, tmp_path):
    bundle.pack([folder], tmp_path / "b.zip")
    source = drawn(bundle.read(tmp_path / "b.zip"), np.random.default_rng(0))
    assert {next(source).name for _ in range(20)} == {f"{folder.name}/0", f"{folder.name}/1"}


def test_simulating_appends_records(folder, weights, tmp_path):
    out = tmp_path / "made.jsonl"
    for _ in range(2):
        places = ("--model", weights, "--folder", folder, "--device", "cpu")
        run("simulate", out, *places, "--kinds", "unseen", "--count", 3)
    made = corpus.read(out)
    assert len(made) == 6
    assert {record.kind for record in made} <= set(annotators.UNSEEN)
    assert made[0] == made[3]  # the same seed


def test_simulating_needs_one_source(folder, weights, tmp_path):
    done = CliRunner().invoke(main, ["simulate", str(tmp_path / "a"), "--model", str(weights)])
    assert done.exit_code == 2
    assert "either --bundle or --folder" in done.output


def test_training_and_reporting(tmp_path, monkeypatch):
    report = pytest.importorskip(
        "fine_tune.quality.report", reason="the report needs scikit-learn (extra: dev)"
    )
    monkeypatch.setattr(report, "RESAMPLES", 50)
    for name, seed in (("train", 1), ("unseen", 2)):
        lines = [record.to_json() for record in records(80, seed)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    out = tmp_path / "quality.safetensors"
    named = ("--out", out, "--clicks-from", "shapes", "--members", 1, "--epochs", 3)
    run("train", tmp_path / "train.jsonl", *named)
    assert card(out)["click model"] == "shapes"
    files = (tmp_path / "train.jsonl", tmp_path / "unseen.jsonl")
    printed = run("report", *files, "--weights", out, "--picture", tmp_path / "q.png")
    assert "### unseen" in printed
    assert "gradient boosting" in printed
    assert (tmp_path / "q.png").exists()
