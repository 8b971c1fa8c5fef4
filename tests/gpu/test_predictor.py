"""Clicks on a GPU: the masks of the CPU, and the same bytes cold and warm."""

import numpy as np
import pytest

from model.engines.cuda import CudaEngine
from model.engines.torch_cpu import TorchEngine
from model.evaluation.clicker import next_click
from model.inference.predictor import Request, replay
from model.mask_ops import THRESHOLD, iou
from model.versions import checkpoint
from model.versions.assemble import assemble
from model.versions.registry import PACKAGED
from tests.e2e.photos import two_bodies


@pytest.fixture(scope="module")
def loaded():
    return checkpoint.load(PACKAGED)


def on_gpu(loaded, **options):
    return assemble(
        loaded, None, lambda network, size: CudaEngine(network, size, precision="auto", **options)
    )


def clicked(predictor, image, truth, count=5):
    """Let the classic clicker click; returns clicks and maps."""
    clicks, maps = [], []
    while len(clicks) < count:
        mask = maps[-1] >= THRESHOLD if maps else np.zeros_like(truth)
        click = next_click(truth, mask, clicks)
        if click is None:
            break
        clicks.append(click)
        maps.append(predictor.predict(image, clicks, maps[-1] if maps else None))
    return clicks, maps


def test_the_masks_are_those_of_the_cpu(loaded):
    image, red, yellow = two_bodies()
    cpu = assemble(loaded, None, TorchEngine)
    gpu = on_gpu(loaded)
    for truth in (red, yellow):
        clicks, maps = clicked(cpu, image, truth)
        current = None
        for count, expected in enumerate(maps, 1):
            answer = gpu.predict(image, clicks[:count], current)
            assert iou(answer >= THRESHOLD, expected >= THRESHOLD) > 0.97
            current = expected


def test_a_replay_in_any_company_gives_the_same_bytes(loaded):
    image, red, yellow = two_bodies()
    warm = on_gpu(loaded, batch=4)
    found = [clicked(warm, image, truth) for truth in (red, yellow)]
    cold = on_gpu(loaded, batch=4)
    for clicks, maps in found:
        np.testing.assert_array_equal(replay(cold, image, clicks), maps[-1])
    requests = [Request(image, clicks, maps[-2]) for clicks, maps in found for _ in range(3)]
    answers = cold.predict_many(requests)
    for answer, (_, maps) in zip(answers, [pair for pair in found for _ in range(3)], strict=True):
        np.testing.assert_array_equal(answer, maps[-1])
