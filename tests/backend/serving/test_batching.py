import threading

import numpy as np
import pytest

from backend.serving.batching import BatchingEngine
from model.engines.flip import FlipTTA


class Adder:
    """An engine whose output tells which input it belongs to, and which counts its passes."""

    size, device = 4, "test"

    def __init__(self) -> None:
        self.passes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.inside = 0

    def run(self, image: np.ndarray, guide: np.ndarray) -> np.ndarray:
        self.inside += 1
        assert self.inside == 1, "two passes at once"
        self.passes.append(len(image))
        self.gate.wait(30)
        self.inside -= 1
        if (image == 255).any():
            raise ValueError("white")
        return image[..., 0].astype(np.float32) + guide[:, 0]


def inputs(value: int, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    return np.full((count, 4, 4, 3), value, np.uint8), np.full((count, 3, 4, 4), 0.5, np.float32)


def start(engine: BatchingEngine, values: list[int], results: dict[int, object]) -> list[threading.Thread]:
    def ask(value: int) -> None:
        try:
            results[value] = engine.run(*inputs(value))
        except ValueError as error:
            results[value] = error

    threads = [threading.Thread(target=ask, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    return threads


def gather(limit: int, values: list[int]) -> tuple[Adder, dict[int, object]]:
    """Let requests pile up behind a first one, in the order given, then all go."""
    adder = Adder()
    engine, results = BatchingEngine(adder, limit), {}
    adder.gate.clear()
    threads = start(engine, [100], results)
    while not adder.passes:
        pass
    for number, value in enumerate(values):
        threads += start(engine, [value], results)
        while len(engine._waiting) <= number:
            pass
    adder.gate.set()
    for thread in threads:
        thread.join(30)
    return adder, results


def test_requests_that_wait_share_a_pass_and_get_their_own_answers() -> None:
    adder, results = gather(8, [1, 2, 3, 4, 5])
    assert adder.passes == [1, 5]
    for value in (1, 2, 3, 4, 5, 100):
        np.testing.assert_array_equal(results[value], np.full((1, 4, 4), value + 0.5))


def test_a_pass_is_not_larger_than_the_limit() -> None:
    adder, results = gather(2, [1, 2, 3, 4, 5])
    assert adder.passes == [1, 2, 2, 1]
    assert len(results) == 6


def test_one_at_a_time_on_a_cpu() -> None:
    adder, _ = gather(1, [1, 2, 3])
    assert adder.passes == [1, 1, 1, 1]


def test_an_error_reaches_those_of_its_pass_and_nobody_else() -> None:
    _, results = gather(2, [1, 255, 3])
    errors = {value for value, result in results.items() if isinstance(result, ValueError)}
    assert 255 in errors
    assert 100 not in errors
    assert len(errors) == 2  # the one that shared the pass


def test_a_request_larger_than_the_limit_runs_alone() -> None:
    adder = Adder()
    assert BatchingEngine(adder, 2).run(*inputs(1, count=5)).shape == (5, 4, 4)
    assert adder.passes == [5]


def test_size_and_device_are_the_engines() -> None:
    engine = BatchingEngine(FlipTTA(Adder()), 1)
    assert (engine.size, engine.device) == (4, "test")


@pytest.mark.parametrize("limit", [1, 16])
def test_many_threads(limit: int) -> None:
    adder, results = Adder(), {}
    threads = start(BatchingEngine(adder, limit), list(range(50)), results)
    for thread in threads:
        thread.join(30)
    for value in range(50):
        np.testing.assert_array_equal(results[value], np.full((1, 4, 4), value + 0.5))
