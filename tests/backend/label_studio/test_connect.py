"""The labeling config that `clickmask connect` writes; connecting itself is tested with a real Label Studio."""

from __future__ import annotations

import pytest

from backend.label_studio.connect import TITLE, connect, label_config, undotted
from backend.label_studio.label_config import BITMASK, BRUSH, KEYPOINT, POLYGON, RECTANGLE, LabelConfig
from backend.operations.doctor.label_config_checks import problems
from tests.backend.connected_studio import ConnectedStudio


@pytest.mark.parametrize(
    ("outputs", "kinds"),
    [
        (("brush",), {BRUSH}),
        (("polygon",), {POLYGON}),
        (("bitmask",), {BITMASK}),
        (("brush", "polygon"), {BRUSH, POLYGON}),
    ],
)
def test_a_written_config_has_no_problems(outputs, kinds):
    labels = ('Cat & "Dog"', "<Bird>")
    xml = label_config(labels, outputs)
    assert problems(xml) == []
    config = LabelConfig.parse(xml)
    assert {control.shape for control in config.controls} >= {KEYPOINT, RECTANGLE} | kinds
    assert {output.mask.shape for output in config.outputs("image", labels[:1])} == kinds


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://backend:9090", True),
        ("http://clickmask.internal:9090", False),
        ("http://localhost:9090", False),
        ("http://127.0.0.1:9090", False),
        ("http://[::1]:9090", False),
    ],
)
def test_a_host_name_without_a_dot_is_told_from_addresses(url, refused):
    assert bool(undotted(url)) == refused
    assert not refused or "'backend' has no dot" in undotted(url)


def test_prelabeling_names_its_source_where_the_project_was_connected_before():
    studio = ConnectedStudio()
    try:
        project = studio.add_project(model_version="")
        for prelabel, source in ((False, ""), (True, TITLE)):
            connect(studio.client(), project, "http://127.0.0.1:9090", studio.settings(), prelabel)
            assert studio.projects[project]["model_version"] == source
    finally:
        studio.close()
