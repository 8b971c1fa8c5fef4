"""A server of the benchmark's own; tests/backend/operations/bench/test_annotators.py clicks in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.operations.bench.image_server import ImageServer
from backend.operations.bench.serving import serving
from backend.operations.stack import StackError
from backend.settings import Settings
from model.versions.registry import Registry
from tests.backend.published_models import add


def test_a_model_that_cannot_be_loaded_ends_the_benchmark_in_words(tmp_path: Path) -> None:
    version = add(Registry(tmp_path))
    (version.path / "model.safetensors").write_bytes(b"nonsense")
    settings = Settings(home=tmp_path, device="cpu", threads=1, workers=1)
    with (
        ImageServer() as images,
        pytest.raises(StackError, match="cannot be served.*sha256"),
        serving(settings, images),
    ):
        raise AssertionError("not reached")
