"""What a training starts from."""

from pathlib import Path

import click
import pytest

from backend.cli.model.first_weights import ENCODING, start, trained
from model.versions.checkpoint import save
from tests.fine_tune.shape_scenes import shape_scene
from tests.model.official_checkpoints import SMALL_VIT, small_vit


class Shapes:
    """In place of an `ObjectSampler`."""

    varied = staticmethod(shape_scene)


def options(**values):
    return {"seed": 0, "network": None, "init": None, "imagenet": None} | values


def test_a_network_without_imagenet_weights_learns_everything_at_the_full_rate(capsys):
    network, described = start(options(network="hrnet18s-ocr"), Shapes())
    assert described["architecture"] == {"name": "hrnet18s-ocr", "params": {}}
    assert network.backbone_prefix is None
    assert "starts from random weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"network": "foo"}, "--network: unknown network 'foo': use one of lite0-fpn"),
        ({"imagenet": Path(__file__)}, "holds no weights of EfficientNet-Lite0"),
        ({"network": "lite0-fpn2"}, "thinned: give --init the folder of a trained lite0-fpn,"),
    ],
)
def test_what_nothing_can_start_from_is_said(values, said):
    with pytest.raises(click.UsageError, match=said):
        start(options(**values), Shapes())


@pytest.mark.parametrize("option", ["--init", "--teacher"])
def test_a_checkpoint_that_cannot_be_used_is_named(option, tmp_path):
    with pytest.raises(click.UsageError, match=r"card\.json"):
        trained(tmp_path, option)


def test_terms_of_the_first_weights_stay(tmp_path):
    network, terms = small_vit(), "not for commercial use"
    card = {"architecture": SMALL_VIT, "encoding": ENCODING, "size": 224, "terms": terms}
    save(tmp_path, network, card)
    assert start(options(init=tmp_path), Shapes())[1]["terms"] == terms
