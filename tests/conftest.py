"""What tests of several parts need."""

from collections.abc import Iterator

import pytest

from tests.object_store import ObjectStore


@pytest.fixture
def object_store() -> Iterator[ObjectStore]:
    store = ObjectStore()
    yield store
    store.close()
