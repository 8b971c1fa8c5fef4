import torch

from model.engines.torch_cpu import TorchEngine
from model.inference.domain import Domain, describe
from model.inference.predictor import Predictor
from model.networks import build
from model.versions.assemble import assemble
from tests.model.inference.test_domain import dots

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
