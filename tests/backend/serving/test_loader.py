import dataclasses
from pathlib import Path

import numpy as np
import pytest

from backend.serving.loader import Loader, load
from backend.settings import Settings
from model.click import Click
from model.inference.domain import Domain, describe
from model.inference.routing import RoutingPredictor
from model.versions.checkpoint import CheckpointError, UnreadableError
from model.versions.registry import Registry
from tests.backend.published_models import CARD, add, network
from tests.model.textures import dots, stripes


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, device="cpu", threads=1)


def test_a_fine_tuned_version_leaves_foreign_images_to_its_base(
    registry: Registry, settings: Settings
) -> None:
    base, (own, foreign) = add(registry), (dots(0), stripes(0))
    card = {**CARD, "general": base.name, "domain": Domain.of([describe(own)]).as_json()}
    version = registry.add("project-7", network(1), card)
    tuned, general = load(version, settings).predictor, load(base, settings).predictor
    clicks = [Click(60, 70)]
    assert (tuned.predict(foreign, clicks) == general.predict(foreign, clicks)).all()
    assert (tuned.predict(own, clicks) != general.predict(own, clicks)).any()


def test_the_precision_is_a_setting(registry: Registry) -> None:
    pytest.importorskip("openvino")
    settings = Settings(home=registry.root.parent, device="openvino", threads=1, precision="float32")
    assert load(add(registry), settings).device == "cpu (OpenVINO, f32)"


def test_flipping_changes_the_answer_and_not_its_form(registry: Registry, settings: Settings) -> None:
    version = add(registry)
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    plain, flipped = (
        load(version, dataclasses.replace(settings, flip=flip)).predictor.predict(image, [Click(20, 30)])
        for flip in (False, True)
    )
    assert plain.shape == flipped.shape
    assert (plain != flipped).any()


def test_all_projects_share_one_copy_of_their_base(registry: Registry, settings: Settings) -> None:
    base, loader = add(registry), Loader(settings)
    card = {**CARD, "general": base.name, "domain": Domain.of([describe(dots(0))]).as_json()}
    versions = [registry.add(f"project-{n}", network(n), card) for n in (1, 2)]
    tuned = [loader(version).predictor for version in versions]
    served = loader(base).predictor
    assert all(isinstance(one, RoutingPredictor) and one.fallback is served for one in tuned)
    assert loader(base).predictor is served
    assert loader(versions[0]).predictor is tuned[0]


def test_damage_and_a_disk_that_fails_are_told_apart(registry: Registry, settings: Settings) -> None:
    broken, unread = add(registry), add(registry, seed=1)
    (broken.path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError):
        Loader(settings)(broken)
    (unread.path / "model.safetensors").unlink()
    (unread.path / "model.safetensors").symlink_to("/proc/self/mem")  # reading it is an I/O error
    with pytest.raises(UnreadableError, match="Input/output error.*check the disk"):
        Loader(settings)(unread)
