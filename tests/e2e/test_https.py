"""Label Studio below a path and the backend, both behind HTTPS with a certificate of a private authority."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trustme

from backend.label_studio.mask_regions import accepted
from backend.operations.supervisor import free_port
from fine_tune.project.ledger import Ledger
from model.click import Click
from tests.e2e.conftest import backend_at, new_studio
from tests.e2e.photos import iou, jpeg, two_bodies
from tests.e2e.place import Place
from tests.e2e.tls_proxy import TlsProxy
from tests.label_studio_calls import create_annotation

PREFIX = "/label-studio"
IMAGE, TRUTH, _ = two_bodies()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[trustme.CA, Path]]:
    authority, path = trustme.CA(), tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    yield authority, path


@pytest.fixture(scope="module")
def place(bundle: tuple[trustme.CA, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    authority, path = bundle
    home, port = tmp_path_factory.mktemp("https"), free_port()
    switches = {
        "LABEL_STUDIO_HOST": f"https://127.0.0.1:{port}{PREFIX}",
        "REQUESTS_CA_BUNDLE": str(path),
    }
    with (
        pytest.MonkeyPatch.context() as patch,
        new_studio(tmp_path_factory.mktemp("studio"), switches) as studio,
    ):
        patch.setenv("REQUESTS_CA_BUNDLE", str(path))  # of this process, which asks Label Studio, too
        studio.start()
        outside = TlsProxy(authority, studio.port, PREFIX, port)
        try:
            with backend_at(home, outside.url, studio.token) as (backend, redis_url):
                inside = TlsProxy(authority, backend.port)
                backend.url = inside.url  # as Label Studio reaches it
                yield Place(backend, redis_url, [jpeg(IMAGE)], TRUTH.shape)
                inside.close()
        finally:
            outside.close()


def test_clicks_images_and_webhooks_come_through(place: Place):
    (row,) = place.client.ml_backends(place.project)
    assert (row["state"], row["url"].startswith("https://")) == ("CO", True)
    y, x = (float(np.median(axis)) for axis in np.nonzero(TRUTH))
    regions = place.click(Click(x, y))["result"]
    (region,) = accepted(regions)
    assert iou(region.mask(), TRUTH) > 0.3
    made = create_annotation(place.client, place.tasks[0], regions)["id"]
    ledger = Ledger(place.redis)
    place.wait("the webhook", lambda: made in ledger.annotations(place.project))


def test_the_doctor_is_content(place: Place):
    said = place.run("doctor", str(place.project), "--url", place.backend.url)
    assert "FAIL" not in said, said


def test_without_the_authority_a_sentence_says_what_to_set(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    place.backend.environment.pop("REQUESTS_CA_BUNDLE", None)
    with pytest.raises(AssertionError, match="certificate"):
        place.run("doctor", str(place.project))
