"""Objects under an fsspec URL (S3, Google Cloud Storage, ...): read, written and removed as a whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import fsspec

from model.errors import ClickmaskError

NO_KEYS = (
    ": set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "or AWS_EC2_METADATA_DISABLED=false to use the role of this machine"
)


class StoreError(ClickmaskError, OSError):
    """The object store cannot be used; the message names it and says why."""


class Missing(StoreError):
    """The object store has no such object."""


class Bucket:
    """Read and write objects by their path under a URL.

    Attributes:
        name: the URL without a password, for messages.

    Raises (all methods):
        StoreError: the store does not answer or refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.name = re.sub(r"//[^/]*@", "//", self.url)
        # Without keys botocore would ask the address of EC2's instance roles, which nobody has named here. Who has
        # such roles says so: with "false" it is asked.
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")

    def read(self, path: str) -> bytes | None:
        """Return an object's bytes; None where there is no such object."""
        try:
            with self._open(path) as (system, place):
                return bytes(system.cat_file(place))
        except Missing:
            return None

    def write(self, path: str, data: bytes) -> None:
        """Replace an object in one step."""
        with self._open(path) as (system, place):
            system.pipe_file(place, data)

    def remove(self, path: str) -> None:
        """Remove an object, if it is there."""
        with suppress(Missing), self._open(path) as (system, place):
            system.rm_file(place)

    def find(self, path: str) -> list[str]:
        """List the objects under a path, relative to it."""
        try:
            with self._open(path) as (system, place):
                return [os.path.relpath(found, place) for found in system.find(place)]
        except Missing:
            return []

    @contextmanager
    def _open(self, path: str) -> Iterator[tuple[Any, str]]:
        """Return the file system and a path in it; not to be kept, as these objects do not survive a fork."""
        try:
            yield fsspec.core.url_to_fs(f"{self.url}/{path}".rstrip("/"), use_listings_cache=False)
        except FileNotFoundError as error:
            raise Missing(f"{self.name}/{path}: {error}") from None
        except Exception as error:  # every kind of store has errors of its own
            fix = NO_KEYS if type(error).__name__ == "NoCredentialsError" else ""
            raise StoreError(f"{self.name}: {type(error).__name__}: {error}{fix}") from None
