"""Annotators click in lanes; what is known is not clicked again; whoever ends it ends all lanes."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from fine_tune.project.judging import clicking as clicking_module
from fine_tune.project.judging.clicking import Clicking
from fine_tune.project.judging.gate import TARGET
from fine_tune.project.models import Model
from model import inference
from model.evaluation.evaluate import CLICKERS
from model.scene import Sample
from tests.fine_tune.shape_project import CARD, network
from tests.fine_tune.shape_scenes import shape_scene

CLICKS = 3


def sample(seed: int) -> Sample:
    return Sample(f"image-{seed}#0", partial(lambda seed: shape_scene(np.random.default_rng(seed)), seed))


SAMPLES = [sample(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model("base-1-00000000", network(), CARD)


def played(clicking: Clicking, model: Model, samples: list[Sample]) -> dict[str, list[tuple[float, ...]]]:
    reports = clicking.measure(model, samples, CLICKS).reports
    return {clicker: [record.ious for record in report.records] for clicker, report in reports.items()}


def test_every_annotator_clicks_every_object_in_any_number_of_lanes(model: Model):
    one, two = (played(Clicking("cpu", threads=lanes), model, SAMPLES) for lanes in (1, 2))
    assert list(one) == list(CLICKERS)
    for clicker in CLICKERS:
        assert len(one[clicker]) == len(SAMPLES)
        np.testing.assert_allclose(one[clicker], two[clicker], atol=1e-3)


def test_what_is_known_is_not_clicked_again(model: Model, tmp_path: Path):
    first = Clicking("cpu", threads=1, file=tmp_path / "r.jsonl")
    few = played(first, model, SAMPLES[:2])
    made = first.made
    assert made > 0
    again = Clicking("cpu", threads=1, file=tmp_path / "r.jsonl")
    told = []
    assert played(again, model, SAMPLES[:2]) == few
    assert again.made == 0
    again.measure(model, SAMPLES[:3], CLICKS, told.append)
    assert len(told) == 3 * len(CLICKERS), "those that are at hand are told of, too"
    assert 0 < again.made < made


def test_other_code_or_precision_clicks_anew(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def made(precision: str) -> int:
        clicking = Clicking("cpu", precision, threads=1, file=tmp_path / "r.jsonl")
        clicking.measure(model, SAMPLES[:2], CLICKS)
        return clicking.made

    assert made("auto") > 0
    assert made("auto") == 0
    assert made("float32") > 0
    monkeypatch.setattr(clicking_module, "_code", lambda: "another version of clickmask")
    assert made("auto") > 0


def test_networks_and_engines_are_code_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inference, "__path__", [str(tmp_path / "inference")])
    codes = set()
    for part in ("inference", "evaluation", "networks", "engines", "versions/official"):
        (tmp_path / part).mkdir(parents=True)
        (tmp_path / part / "module.py").write_text("answer = 1")
        codes.add(clicking_module._code.__wrapped__())
    assert len(codes) == 5


def test_an_object_that_is_good_enough_gets_no_more_clicks(model: Model):
    measured = Clicking("cpu", threads=1).measure(model, SAMPLES, CLICKS)
    for report in measured.reports.values():
        for record in report.records:
            assert all(iou < TARGET for iou in record.ious[: len(record.clicks) - 1])


def test_other_weights_sides_or_domains_are_another_model(model: Model):
    other = network()
    with torch.no_grad():
        other.head.bias.add_(1.0)
    digests = {
        model.digest,
        dataclasses.replace(model, network=other).digest,
        dataclasses.replace(model, card={**CARD, "size": 128}).digest,
        dataclasses.replace(model, card={**CARD, "domain": {"limit": 1}}).digest,
        dataclasses.replace(model, card={**CARD, "inference": {"merge": False}}).digest,
        dataclasses.replace(model, fallback=(network(), CARD)).digest,
    }
    assert len(digests) == 6
    assert Model("another-name", network(), dict(CARD)).digest == model.digest


def test_records_of_models_that_are_no_longer_served_go(model: Model, tmp_path: Path):
    other = dataclasses.replace(model, card={**CARD, "size": 64})
    clicking = Clicking("cpu", threads=1, file=tmp_path / "r.jsonl")
    for each in (model, other):
        clicking.measure(each, SAMPLES[:2], CLICKS)
    clicking.keep([model])
    made = clicking.made
    clicking.measure(model, SAMPLES[:2], CLICKS)
    assert clicking.made == made
    clicking.measure(other, SAMPLES[:2], CLICKS)
    assert clicking.made > made


def test_a_pulse_that_raises_ends_all_lanes(model: Model):
    class Ended(Exception):
        pass

    beats = []

    def pulse() -> None:
        beats.append(1)
        if len(beats) > 2:
            raise Ended

    with pytest.raises(Ended):
        Clicking("cpu", threads=2, pulse=pulse).measure(model, SAMPLES, CLICKS)
    assert len(beats) == 3
