"""Which of the two kinds of official checkpoints a file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.networks import build
from model.versions.checkpoint import CheckpointError
from model.versions.official import importer
from tests.model.official_checkpoints import (
    HRNET,
    ITERATIVE,
    config,
    small_vit,
    vit_config,
    vit_weights,
    weights_of,
    write,
)


def test_both_kinds_are_recognised(tmp_path: Path) -> None:
    settings = config(HRNET, width=18, ocr_width=48, small=True, **ITERATIVE)
    network, card = importer.read(write(tmp_path / "ritm.pth", weights_of(build("hrnet18s-ocr")), settings))
    assert (card["architecture"]["name"], card["size"]) == ("hrnet18s-ocr", 384)
    assert "terms" not in card and "inference" not in card
    assert not network.training
    assert card["training"]["config"]["class"] == "HRNetModel"
    network, card = importer.read(write(tmp_path / "vit.pth", vit_weights(small_vit()), vit_config()))
    assert (card["architecture"]["name"], card["size"]) == ("simpleclick", 224)
    assert not network.training
    assert card["training"]["config"]["class"] == "PlainVitModel"


def test_others_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pth", {}, config("isegm.model.is_swin_model.SwinModel"))
    with pytest.raises(CheckpointError, match="holds a SwinModel; supported are HRNetModel, .*PlainVitModel"):
        importer.read(path)


def test_options_that_no_layer_takes_are_refused(tmp_path: Path) -> None:
    settings = config(
        "isegm.model.is_deeplab_model.DeeplabModel", backbone="resnet34", aspp_dropout=7.0, **ITERATIVE
    )
    with pytest.raises(CheckpointError, match="describes no network that can be built: .*dropout"):
        importer.read(write(tmp_path / "x.pth", {}, settings))
