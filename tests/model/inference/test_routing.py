import numpy as np
import torch

from model.click import Click
from model.engines.torch_cpu import TorchEngine
from model.inference.domain import Domain, describe
from model.inference.predictor import Predictor, Request
from model.inference.routing import RoutingPredictor
from model.networks import build
from model.versions.assemble import assemble
from tests.model.textures import dots, stripes

CARD = {"size": 64, "encoding": {"name": "disk", "radius": 5.0}}
CLICKS = [Click(60, 70)]


def loaded(seed: int, **facts):
    torch.manual_seed(seed)
    return build("lite0-fpn").eval(), {**CARD, **facts}


def made(own, general) -> Predictor:
    return assemble(own, general, TorchEngine)


def test_each_image_is_answered_by_the_one_that_knows_it():
    domain = Domain.of([describe(dots(seed)) for seed in range(8)])
    own, general = loaded(0, domain=domain.as_json()), loaded(1)
    specialist = made(own, general)
    assert isinstance(specialist, RoutingPredictor)
    mine, foreign = dots(50), stripes(50)
    requests = [Request(image, CLICKS) for image in (foreign, mine, foreign)]
    answers = specialist.predict_many(requests)
    alone = {name: made(one, None) for name, one in (("own", own), ("general", general))}
    expected = alone["general"].predict(foreign, CLICKS)
    assert off(answers[1], alone["own"].predict(mine, CLICKS)) <= 1  # of 255: batches round otherwise
    assert off(answers[0], expected) <= 1
    assert off(answers[2], expected) <= 1
    assert off(alone["own"].predict(foreign, CLICKS), expected) > 1  # they do differ


def off(one, other) -> int:
    """The largest difference of two maps."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_an_image_at_the_address_of_another_is_looked_at_again():
    domain = Domain.of([describe(dots(seed)) for seed in range(8)])
    specialist = made(loaded(0, domain=domain.as_json()), loaded(1))
    own = made(loaded(0), None)
    for seed in range(5):
        for image in (dots(50 + seed), stripes(seed)):
            same = (specialist.predict(image, CLICKS) == own.predict(image, CLICKS)).all()
            assert same == domain.covers(image)
