"""A slimmer network starts from what its parent knows."""

import pytest
import torch

from fine_tune.training.inheritance import annotated_views, inherit, surviving_channels
from model.networks import build
from tests.fine_tune.shape_scenes import shape_scene

SMALL = {"width": 32, "context_layers": 1, "context_dim": 32}
FULL = (96, 144, 144, 240, 240, 480, 480, 480, 672, 672, 672, 1152, 1152, 1152, 1152)


@pytest.fixture(scope="module")
def parent():
    torch.manual_seed(0)
    return build("lite0-fpn", **SMALL).eval()


@pytest.fixture(scope="module")
def views(parent):
    return list(annotated_views(parent, shape_scene, batches=4, batch=4, sizes=(96, 64)))


def features(network, views):
    image, guide = views[0]
    with torch.inference_mode():
        return network.encoder(network.normalize(image), network.entry(guide))


def heir(hidden):
    torch.manual_seed(1)
    return build("lite0-fpn2", fine_width=16, hidden=hidden, **SMALL).eval()


def test_views_show_images_and_clicks(views):
    for (image, guide), size in zip(views, (96, 64) * 2, strict=True):
        assert image.shape == guide.shape == (4, 3, size, size)
        assert float(image.min()) >= 0 and 0.5 < float(image.max()) <= 1
        assert float(guide[:, 1:].amax()) == 1


def test_an_heir_of_the_same_encoder_sees_the_same(parent, views):
    network = heir(FULL)
    random = inherit(network, parent, views)
    assert random
    assert {name.split(".")[0] for name in random} == {"narrow", "detail", "fine", "head"}
    for ours, theirs in zip(features(network, views), features(parent, views), strict=True):
        assert float((ours - theirs).var() / theirs.var()) < 0.02  # the click entry is fitted, not copied


def test_a_thinned_encoder_keeps_most_of_what_its_parent_sees(parent, views):
    half = tuple(count * 3 // 4 for count in FULL)
    network, truncated = heir(half), heir(half)
    inherit(network, parent, views)
    own = truncated.state_dict()
    cut = {
        name: value[tuple(slice(side) for side in own[name].shape)]
        for name, value in parent.state_dict().items()
        if name.startswith("encoder.") and value.dim() == own[name].dim()
    }
    truncated.load_state_dict(cut, strict=False)
    truncated.entry.load_state_dict(network.entry.state_dict())
    target = features(parent, views)[3]
    ours, theirs = (
        float((features(n, views)[3] - target).var() / target.var()) for n in (network, truncated)
    )
    assert ours < 0.5 * theirs


def test_copies_of_a_channel_are_the_first_to_go():
    torch.manual_seed(0)
    free = torch.randn(4000, 4, dtype=torch.float64)
    inputs = torch.cat([free, free[:, :2] * 2, 1e-3 * torch.randn(4000, 1, dtype=torch.float64)], 1)
    covariance = inputs.T @ inputs / 4000 + 1e-6 * torch.eye(7, dtype=torch.float64)
    kept = surviving_channels(torch.ones(3, 7, dtype=torch.float64), covariance, 4).tolist()
    assert 6 not in kept
    assert {2, 3} <= set(kept)
    assert len({0, 4} & set(kept)) == len({1, 5} & set(kept)) == 1
