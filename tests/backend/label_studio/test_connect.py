"""The labeling config that `clickmask connect` writes; connecting itself is tested with a real Label Studio."""

from __future__ import annotations

import pytest

from backend.label_studio.connect import label_config
from backend.label_studio.label_config import BRUSH, KEYPOINT, POLYGON, RECTANGLE, LabelConfig


@pytest.mark.parametrize(
    ("outputs", "kinds"),
    [(("brush",), {BRUSH}), (("polygon",), {POLYGON}), (("brush", "polygon"), {BRUSH, POLYGON})],
)
def test_a_written_config_has_no_problems(outputs, kinds):
    labels = ('Cat & "Dog"', "<Bird>")
    config = LabelConfig.parse(label_config(labels, outputs))
    assert config.problems() == []
    assert {control.kind for control in config.controls} == {KEYPOINT, RECTANGLE} | kinds
    assert all(control.labels == labels for control in config.controls)
    assert {control.kind for control in config.outputs("image", labels[:1])} == kinds
