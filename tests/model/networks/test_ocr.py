"""Object-contextual representations: the object's mean feature, and what it says to every place."""

from __future__ import annotations

import torch

from model.networks.ocr import ObjectContext, ObjectHead, gather


def test_gathering_is_the_mean_of_the_places_that_the_logits_choose() -> None:
    features = torch.arange(12.0).view(1, 2, 2, 3)
    logits = torch.full((1, 1, 2, 3), -50.0)
    logits[0, 0, 0, 1] = logits[0, 0, 1, 2] = 50.0
    expected = (features[0, :, 0, 1] + features[0, :, 1, 2]) / 2
    torch.testing.assert_close(gather(features, logits)[0, :, 0, 0], expected)


def test_gathering_without_an_opinion_is_the_mean_of_all_places() -> None:
    features = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(gather(features, torch.zeros(2, 1, 4, 5)), features.mean((2, 3), keepdim=True))


def test_the_object_speaks_to_every_place() -> None:
    torch.manual_seed(0)
    head = ObjectHead(8, 4).eval()
    features = torch.rand(1, 8, 3, 3)
    with torch.inference_mode():
        one, other = (head(features, torch.full((1, 8, 1, 1), value)) for value in (0.5, 2.0))
    assert one.shape == features.shape
    assert (one - other).abs().amax(1).min() > 0


def test_what_exists_for_the_official_weights_alone_is_not_trained() -> None:
    context = ObjectContext(8, 4)
    context(torch.rand(2, 8, 1, 1)).sum().backward()
    untouched = {key.split(".")[0] for key, p in context.named_parameters() if p.grad is None}
    assert untouched == {"f_pixel", "f_object"}
