"""Images of tasks: found wherever Label Studio keeps them, decoded once, cached by bytes, fetched ahead."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlencode, urlsplit

import numpy as np

from backend.decode import DecodeError, decode
from backend.fetch import fetch
from backend.guard import FetchError, Guard, origin
from backend.labelstudio import LabelStudio, LabelStudioError
from backend.settings import Settings

logger = logging.getLogger(__name__)

LOCAL_PATHS = ("/data/upload/", "/data/local-files/", "/storage-data/")
CLOUD_SCHEMES = ("s3", "gs", "azure-blob")
AHEAD = 2  # images fetched ahead at most; more would push out what annotators are working on


class ImageError(RuntimeError):
    """An image cannot be had; the message is one sentence that says why and what to change."""


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: HxWx3 uint8 RGB, upright, read-only.
        digest: 16 hex digits of the pixels' own hash, the same however the image was fetched.
    """

    pixels: np.ndarray
    digest: str


class ImageStore:
    """Fetches, decodes and keeps images; safe to use from several threads."""

    def __init__(self, settings: Settings, client: LabelStudio) -> None:
        self._settings, self._client = settings, client
        trusted = origin(client.url) if client.url else None
        self._guard = Guard(trusted, settings.image_hosts)
        self._limit = settings.image_cache_mb << 20
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, Picture] = OrderedDict()
        self._bytes = self._hits = self._misses = 0
        self._under_way: dict[str, Future[Picture]] = {}
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="image-prefetch")
        self._planned = 0

    def get(self, url: str, task_id: int | None = None) -> Picture:
        """The image behind a value of a task's data.

        Several threads that ask for one image at once share one download.

        Args:
            url: a path or address of Label Studio, http(s), data:, or s3://, gs://, azure-blob:// (presigned by
                Label Studio, which needs `task_id`).

        Raises:
            ImageError: see its text.
        """
        with self._lock:
            if url in self._cache:
                self._hits += 1
                self._cache.move_to_end(url)
                return self._cache[url]
            mine = url not in self._under_way
            future = self._under_way.setdefault(url, Future())
            self._misses += mine
        if not mine:
            return future.result()
        try:
            picture = self._load(url, task_id)
        except BaseException as error:
            with self._lock:
                del self._under_way[url]
            future.set_exception(error)
            raise
        with self._lock:
            del self._under_way[url]
            self._keep(url, picture)
        future.set_result(picture)
        return picture

    def prefetch(self, url: str, task_id: int | None = None) -> None:
        """Begin to load an image in the background; dropped when enough are under way, errors only logged."""
        with self._lock:
            if url in self._cache or url in self._under_way or self._planned >= AHEAD:
                return
            self._planned += 1

        def load() -> None:
            try:
                self.get(url, task_id)
            except ImageError as error:
                logger.info("task %s: image not fetched ahead: %s", task_id, error)
            finally:
                with self._lock:
                    self._planned -= 1

        self._ahead.submit(load)

    def stats(self) -> dict[str, int]:
        """Counts since start and the bytes held: hits, misses, bytes, images."""
        with self._lock:
            held = {"bytes": self._bytes, "images": len(self._cache)}
            return {"hits": self._hits, "misses": self._misses, **held}

    def _keep(self, url: str, picture: Picture) -> None:
        if picture.pixels.nbytes > self._limit:
            return
        self._cache[url] = picture
        self._bytes += picture.pixels.nbytes
        while self._bytes > self._limit:
            _, oldest = self._cache.popitem(last=False)
            self._bytes -= oldest.pixels.nbytes

    def _load(self, url: str, task_id: int | None) -> Picture:
        try:
            pixels = decode(self._read(url, task_id), self._settings.max_image_megapixels)
        except DecodeError as error:
            raise ImageError(f"{_short(url)}: {error}") from error
        return Picture(
            pixels, hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:16]
        )

    def _read(self, url: str, task_id: int | None) -> bytes:
        if url.startswith("data:"):
            return self._inline(url)
        address = self.resolve(url, task_id)
        limit = self._settings.max_image_mb << 20
        try:
            try:
                return fetch(address, self._guard, self._client.headers, limit)
            except FetchError as error:
                if error.status != 401:
                    raise
                self._client.expire()  # the short-lived token may have been revoked: once more with a new one
                return fetch(address, self._guard, self._client.headers, limit)
        except FetchError as error:
            raise ImageError(f"{_short(url)}: {self._explain(error)}") from error
        except LabelStudioError as error:
            raise ImageError(f"{_short(url)}: {error}") from error

    def _inline(self, url: str) -> bytes:
        """The bytes of a data: URI (RFC 2397)."""
        head, comma, body = url.partition(",")
        if not comma:
            raise ImageError("a data: URI without a comma holds no image")
        if len(body) > (self._settings.max_image_mb << 20) * 4 // 3 + 4:
            raise ImageError(
                f"the data: URI is larger than {self._settings.max_image_mb} MB (CLICKMASK_MAX_IMAGE_MB)"
            )
        raw = unquote_to_bytes(body)
        if not head.endswith(";base64"):
            return raw
        try:
            return base64.b64decode(raw, validate=True)
        except binascii.Error as error:
            raise ImageError(f"the data: URI is no valid base64: {error}") from error

    def resolve(self, url: str, task_id: int | None = None) -> str:
        """The http(s) address behind a value of a task's data.

        Label Studio writes addresses of its own files in several ways, with the name it knows itself by, which
        need not be a name it has here; such paths always lead to LABEL_STUDIO_URL.

        Raises:
            ImageError: no address can be made of it.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ImageError(f"{_short(url)}: this is no address of an image") from None
        if parts.scheme in CLOUD_SCHEMES:
            if task_id is None:
                raise ImageError(
                    f"{_short(url)}: only Label Studio can open this address, and no task is known"
                )
            where = base64.urlsafe_b64encode(url.encode()).decode()
            return f"{self._base(url)}/tasks/{task_id}/presign/?{urlencode({'fileuri': where})}"
        if not parts.scheme and not url.startswith("/"):
            raise ImageError(f"{_short(url)}: neither a path of Label Studio (/data/...) nor a full address")
        local = next((parts.path.find(p) for p in LOCAL_PATHS if p in parts.path), -1)
        if (not parts.scheme and not parts.netloc) or (
            local >= 0 and self._client.url and not self._listed(parts.hostname)
        ):
            path = parts.path[local:] if local >= 0 else parts.path
            return self._base(url) + path + (f"?{parts.query}" if parts.query else "")
        return url

    def _listed(self, host: str | None) -> bool:
        return (host or "").lower() in self._settings.image_hosts

    def _base(self, url: str) -> str:
        if not self._client.url:
            raise ImageError(
                f"{_short(url)}: LABEL_STUDIO_URL is not set, so Label Studio cannot be asked for it"
            )
        return self._client.url

    def _explain(self, error: FetchError) -> str:
        if error.status == 401:
            if not self._settings.label_studio_api_key:
                return "Label Studio wants a token: set LABEL_STUDIO_API_KEY"
            return "Label Studio refused the token: check LABEL_STUDIO_API_KEY (`clickmask doctor` tests it)"
        if error.status == 403:
            return "Label Studio denies access: the account of LABEL_STUDIO_API_KEY must be a member of the project"
        if error.status == 404:
            return "there is no such file: was the task's storage synced, and is LABEL_STUDIO_URL right?"
        return str(error)


def _short(url: str) -> str:
    """An address for a message: no query, which may hold a signature, and no long data."""
    if url.startswith("data:"):
        return "data: URI"
    return url.split("?")[0][:120]
