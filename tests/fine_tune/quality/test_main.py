"""The commands that make the shipped model, from images to the report."""

import pytest
import torch
from click.testing import CliRunner

from fine_tune.quality import annotators
from fine_tune.quality.__main__ import main
from fine_tune.quality.dataset import read_records
from fine_tune.quality.network import card
from model.networks import build
from model.versions import checkpoint
from tests.backend.published_models import CARD
from tests.fine_tune.quality.simulated_steps import records, write_subjects


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_subjects(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "weights"
    checkpoint.save(path, build("lite0-fpn"), CARD)
    return path


def run(*options):
    done = CliRunner().invoke(main, [str(option) for option in options])
    assert done.exit_code == 0, done.output
    return done.output


def test_simulating_appends_records(folder, weights, tmp_path):
    out = tmp_path / "made.jsonl"
    for _ in range(2):
        places = ("--model", weights, "--folder", folder, "--device", "cpu")
        run("simulate", out, *places, "--kinds", "unseen", "--count", 3)
    made = read_records(out)
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
