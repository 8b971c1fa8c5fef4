"""Annotations and images that a job cannot use, or not all of them."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fine_tune.data.project_samples import (
    MOST_HELD_OUT,
    LabelledImage,
    SourceError,
    is_held_out,
)
from model.versions.registry import Registry
from tests.fine_tune.project.shape_jobs import COUNT, LINE, PROJECT, Jobs, setup
from tests.fine_tune.shape_project import ShapeAnnotations, Shapes


def test_a_source_that_fails_changes_nothing(home: Path, jobs: Jobs):
    class Failing(ShapeAnnotations):
        def images(self, chosen, on_problem) -> Iterator[LabelledImage]:
            yield next(super().images(chosen, on_problem))
            raise SourceError("Label Studio at http://... cannot be reached")

    made, before = setup(home), Registry(home).versions(LINE)
    with pytest.raises(SourceError):
        jobs.run(Shapes(COUNT, listed_as=Failing), made)
    assert Registry(home).versions(LINE) == before
    assert len(jobs.ledger.fresh(PROJECT, "submitted")) == COUNT


def test_images_that_cannot_be_read_are_named(home: Path, jobs: Jobs):
    class Partly(ShapeAnnotations):
        def images(self, chosen, on_problem) -> Iterator[LabelledImage]:
            on_problem("task 7: there is no such file")
            yield from super().images(chosen - {7}, on_problem)

    outcome = jobs.run(Shapes(COUNT, listed_as=Partly), setup(home))
    assert outcome.problems == ["task 7: there is no such file"]


def test_annotations_stay_new_where_most_images_cannot_be_had(home: Path, jobs: Jobs):
    class Gone(ShapeAnnotations):
        def images(self, chosen, on_problem) -> Iterator[LabelledImage]:
            for task in range(COUNT // 3):
                on_problem(f"task {task}: 403")
            return
            yield

    with pytest.raises(SourceError, match="most images cannot be read; the first one: task 0: 403"):
        jobs.run(Shapes(COUNT, listed_as=Gone), setup(home))
    assert len(jobs.ledger.fresh(PROJECT, "submitted")) == COUNT


def test_damaged_objects_of_a_few_images_end_no_job(home: Path, jobs: Jobs):
    damaged = [f"task 7, region {number}: the RLE is cut off" for number in range(COUNT)]

    class Damaged(ShapeAnnotations):
        def images(self, chosen, on_problem) -> Iterator[LabelledImage]:
            for image in super().images(chosen, on_problem):
                yield dataclasses.replace(image, problems=damaged) if image.digest == "image-7" else image

    outcome = jobs.run(Shapes(COUNT, listed_as=Damaged), setup(home))
    assert outcome.problems == damaged


def test_objects_that_are_too_small_are_named(home: Path, jobs: Jobs):
    class Specks(ShapeAnnotations):
        def images(self, chosen, on_problem) -> Iterator[LabelledImage]:
            for image in super().images(chosen, on_problem):
                speck = np.zeros(image.image.shape[:2], bool)
                speck[:5, :5] = True
                yield dataclasses.replace(image, masks=[speck])

    outcome = jobs.run(Shapes(COUNT, listed_as=Specks), setup(home))
    (problem,) = outcome.problems
    assert problem.startswith(f"{COUNT} of the objects cannot be learned from, being smaller than 40 pixels")
    assert (outcome.status, outcome.reason) == ("refused", f"there is no object to train on; {problem}")


def test_images_that_are_all_held_out_are_named(home: Path, jobs: Jobs):
    class HeldOut(ShapeAnnotations):
        def images(self, chosen, on_problem) -> Iterator[LabelledImage]:
            found = super().images(chosen, on_problem)
            return (image for image in found if is_held_out(image.digest, MOST_HELD_OUT))

    outcome = jobs.run(Shapes(COUNT, listed_as=HeldOut), setup(home))
    assert outcome.status == "refused" and "all images are held out to judge by" in outcome.reason
