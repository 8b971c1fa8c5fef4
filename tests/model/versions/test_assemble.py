import numpy as np
import torch

from model.engines.flip import Mirrored
from model.engines.torch_cpu import TorchEngine
from model.inference import zoom
from model.inference.domain import Domain, describe
from model.inference.predictor import Predictor
from model.networks import build
from model.versions.assemble import assemble
from tests.model.textures import dots

CARD = {"size": 64, "encoding": {"name": "disk", "radius": 5.0}}


def loaded(seed: int, **facts):
    torch.manual_seed(seed)
    return build("lite0-fpn").eval(), {**CARD, **facts}


def made(own, fallback) -> Predictor:
    return assemble(own, fallback, TorchEngine)


def test_the_card_says_at_which_size_later_clicks_are_looked_at():
    domain = Domain.of([describe(dots(0))])
    predictor = made(loaded(0, domain=domain.as_json(), later=96, closer=32), loaded(1))
    assert (predictor.engine.size, predictor.later.size, predictor.closer.size) == (64, 96, 32)
    assert predictor.fallback.later is predictor.fallback.engine
    assert predictor.fallback.closer is None


def test_without_a_base_or_a_domain_a_version_answers_for_everything():
    domain = Domain.of([describe(dots(0))])
    assert type(made(loaded(0, domain=domain.as_json()), None)) is Predictor
    assert type(made(loaded(0), loaded(1))) is Predictor


def test_the_card_says_how_the_network_is_asked():
    asked = {
        "stretch": True,
        "expansion": 2.0,
        "min_side": 1,
        "flip": True,
        "refine": False,
        "merge": False,
        "large_size": 96,
        "large_from": 300,
    }
    domain = Domain.of([describe(dots(0))])
    for own in (loaded(0, inference=asked), loaded(0, inference=asked, domain=domain.as_json())):
        predictor = made(own, loaded(1) if "domain" in own[1] else None)
        assert (predictor.refine, predictor.merge_from) == (False, None)
        assert (predictor.engine.size, predictor.large.size, predictor.large_from) == (64, 96, 300)
        assert isinstance(predictor.engine._model.network, Mirrored)
        mask = np.zeros((200, 200), np.uint8)
        mask[50:100, 50:150] = 255
        window = predictor.zoom_in(mask, [], 64)
        assert (window.cols, window.rows) == (200, 101)  # twice as large, as far as the image goes
    assert made(loaded(0), None).zoom_in is zoom.target_crop
