"""The quality model: what it predicts, survives a file, and which files it refuses."""

import pytest
import torch
from safetensors.torch import save_file

from fine_tune.quality.network import QualityModel, Trace, card
from fine_tune.quality.training import fit
from tests.fine_tune.quality.simulated_steps import records, steps


@pytest.fixture(scope="module")
def model():
    return fit(records(60, 1), members=2, epochs=2, trees=20)


def test_predictions_do_not_depend_on_company(model):
    made = [Trace(steps(1, 0.5)), Trace(steps(1, 0.4, 0.3, 0.2, 0.1)), Trace(steps(1))]
    together = model.predict(made)
    alone = [model.predict([trace])[0] for trace in made]
    for one, other in zip(together, alone, strict=True):
        assert one.iou == pytest.approx(other.iou, abs=1e-5)
        assert 0 < one.iou < 1
        assert 0 < one.uncertainty < 0.5


def test_nothing_to_predict(model):
    assert model.predict([]) == []
    with pytest.raises(ValueError, match="without steps"):
        model.predict([Trace([])])


def test_very_long_annotations_are_read_from_the_end(model):
    assert 0 < model.predict([Trace(steps(*[0.1] * 500))])[0].iou < 1


def test_a_file_keeps_model_and_card(model, tmp_path):
    path = tmp_path / "quality.safetensors"
    model.save(path, {"trained on": "shapes"})
    trace = Trace(steps(1, 0.3))
    assert QualityModel.load(path).predict([trace]) == model.predict([trace])
    assert card(path) == {"trained on": "shapes"}


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"other\.safetensors holds no quality model"):
        QualityModel.load(path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(ValueError, match="holds no quality model"):
        QualityModel.load(path)
