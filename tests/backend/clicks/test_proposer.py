"""A task's prediction: one region for each proposal, on every image that has an address."""

from pathlib import Path

import numpy as np
import pytest

from backend.clicks.proposer import Predicted, TaskProposer, pages
from backend.images.address import ImageError
from backend.images.store import ImageStore
from backend.label_studio.client import LabelStudio
from backend.label_studio.label_config import LabelConfig
from backend.label_studio.mask_regions import accepted
from backend.label_studio.predict_request import Task
from backend.serving.loader import LoadedModel, load
from backend.settings import Settings
from model.versions.registry import Registry
from tests.backend.http_server import answers
from tests.backend.proposing_studio import CONFIG, DiscStudio
from tests.backend.running_app import png
from tests.fine_tune.proposals.disc_proposer import add_proposing
from tests.fine_tune.proposals.drawn import discs

SEVERAL = CONFIG.replace('value="$image"', 'valueList="$images"')


@pytest.fixture
def settings(studio: DiscStudio, tmp_path: Path) -> Settings:
    return studio.settings(tmp_path)


@pytest.fixture
def model(settings: Settings) -> LoadedModel:
    return load(add_proposing(Registry(settings.home)), settings)


def proposer(settings: Settings) -> TaskProposer:
    return TaskProposer(settings, ImageStore(settings, LabelStudio(settings)))


def test_regions_fit_the_discs_and_do_not_overlap(
    settings: Settings, model: LoadedModel, studio: DiscStudio
) -> None:
    task = Task(100, studio.tasks[100]["data"])
    found = proposer(settings).prediction(LabelConfig.parse(CONFIG), task, model)
    assert found.record is not None and found.record["model_version"] == model.version
    masks = [region.mask() for region in accepted(found.record["result"])]
    truths = discs(100).masks
    overlaps = [max((mask & t).sum() / (mask | t).sum() for mask in masks) for t in truths]
    assert sum(overlap > 0.8 for overlap in overlaps) >= 4
    assert np.sum(masks, 0).max() == 1
    assert found == proposer(settings).prediction(LabelConfig.parse(CONFIG), task, model)  # ids, too


def test_a_setting_bounds_them(studio: DiscStudio, model: LoadedModel, settings: Settings) -> None:
    task, config = Task(100, studio.tasks[100]["data"]), LabelConfig.parse(CONFIG)
    few = proposer(studio.settings(settings.home, proposals=2)).prediction(config, task, model)
    assert few.record is not None and len(accepted(few.record["result"])) == 2
    assert (
        proposer(studio.settings(settings.home, proposals=0)).prediction(config, task, model) == Predicted()
    )


def test_other_images_and_unknown_labels_get_nothing(
    studio: DiscStudio, model: LoadedModel, settings: Settings
) -> None:
    task = Task(100, studio.tasks[100]["data"])
    cats = LabelConfig.parse(CONFIG.replace("Disc", "Cat"))
    found = proposer(settings).prediction(cats, task, model)
    assert found.record is None and "label 'Disc' is not in <BrushLabels" in str(found.lacking)
    row = '<Labels name="l" toName="image"><Label value="Cat"/></Labels>'
    plain = f'<View><Image name="image" value="$image"/><Brush name="b" toName="image"/>{row}</View>'
    found = proposer(settings).prediction(LabelConfig.parse(plain), task, model)
    assert found.record is None and "'Disc'" in str(found.lacking), "nor without a label"
    stripes = np.zeros((160, 160, 3), np.uint8)
    stripes[::4] = 255
    studio.web.routes["/data/upload/3/100.png"] = answers(200, png(stripes))
    assert proposer(settings).prediction(LabelConfig.parse(CONFIG), task, model) == Predicted()


def test_an_image_that_is_gone_is_told(studio: DiscStudio, model: LoadedModel, settings: Settings) -> None:
    gone = Task(1, {"image": "/data/upload/3/no.png"})
    found = proposer(settings).prediction(LabelConfig.parse(CONFIG), gone, model)
    assert found.record is None and isinstance(found.lacking, ImageError)


def test_every_image_of_a_task_is_looked_at(
    studio: DiscStudio, model: LoadedModel, settings: Settings
) -> None:
    task = Task(7, {"images": [f"/data/upload/3/{number}.png" for number in (100, 101)]})
    config = LabelConfig.parse(SEVERAL)
    assert [(page.to_name, page.item_index) for page in pages(config, task)] == [("image", 0), ("image", 1)]
    found = proposer(settings).prediction(config, task, model)
    assert found.record is not None and found.lacking is None
    assert {region["item_index"] for region in found.record["result"]} == {0, 1}
    assert list(pages(config, Task(8, {}))) == []


def test_an_image_that_is_gone_costs_the_others_nothing(
    studio: DiscStudio, model: LoadedModel, settings: Settings
) -> None:
    task = Task(7, {"images": [f"/data/upload/3/{name}.png" for name in ("no", 100)]})
    found = proposer(settings).prediction(LabelConfig.parse(SEVERAL), task, model)
    assert found.record is not None and isinstance(found.lacking, ImageError)
    assert {region["item_index"] for region in found.record["result"]} == {1}
