"""Images of tasks: found wherever Label Studio keeps them, decoded once, cached by bytes, fetched ahead."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import threading
import time
from collections import Counter, OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote_to_bytes, urlsplit

import numpy as np

from backend.images.address import Addresses, ImageError, is_file, is_in_bucket, is_inline, shown
from backend.images.fetch import CONNECT_S, fetch
from backend.images.ssrf import FetchError, Guard, origin
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.settings import Settings
from model.image_file import DecodeError, decode

logger = logging.getLogger(__name__)

# Images of one host that are fetched ahead at most; more would push out what annotators are working on.
AHEAD = 2
HOSTS = 4  # that are asked at once: one that hangs keeps none of the others waiting
LATE, LATE_S = 3, CONNECT_S  # images of one host, and how long one that fails was waited for


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: HxWx3 uint8 RGB, upright, read-only.
        digest: 32 hex digits of the file's hash, the same however the image was fetched.
    """

    pixels: np.ndarray
    digest: str


class ImageStore:
    """Fetches, decodes and keeps images; safe to use from several threads.

    Args:
        gives_up: for jobs, which want many images one after another: a host that has let `LATE` of them wait in
            vain, with none in between that it gave, is not asked for any more.

    Raises:
        ImageError: LABEL_STUDIO_URL is no address that can be asked.
    """

    def __init__(self, settings: Settings, client: LabelStudio, gives_up: bool = False) -> None:
        self._settings, self._client, self._gives_up = settings, client, gives_up
        self._late: Counter[str] = Counter()  # host -> images
        try:
            trusted = origin(client.url) if client.url else None
        except FetchError as error:
            raise ImageError(f"LABEL_STUDIO_URL cannot be used: {error}") from None
        own = partial(is_file, prefix=urlsplit(client.url).path)
        self._guard = Guard(trusted, settings.image_hosts, opens=own)
        self._addresses = Addresses(client.url, self._guard)
        self._limit = settings.image_cache_mb << 20
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, Picture] = OrderedDict()
        self._bytes = self._hits = self._misses = 0
        self._under_way: dict[str, Future[Picture]] = {}
        self._ahead = ThreadPoolExecutor(AHEAD * HOSTS, thread_name_prefix="image-prefetch")
        self._planned: list[str] = []  # hosts
        # Decoding takes memory, while waiting for files takes none.
        self._decoding = threading.Semaphore(settings.slots)

    def get(self, url: str, task_id: int | None = None) -> Picture:
        """Return the image behind a value of a task's data.

        Several threads that ask for one image at once share one download.

        Args:
            url: a path or address of Label Studio, http(s), data:, or s3://, gs://, azure-blob:// (presigned by
                Label Studio, which needs `task_id`).

        Raises:
            ImageError: see its text.
        """
        key = _key(url, task_id)
        with self._lock:
            if (known := self._known(key)) is not None:
                return known
            mine = key not in self._under_way
            future = self._under_way.setdefault(key, Future())
            self._misses += mine
        if not mine:
            return future.result()
        try:
            picture = self._load(url, task_id)
        except BaseException as error:
            with self._lock:
                del self._under_way[key]
            future.set_exception(error)
            raise
        with self._lock:
            del self._under_way[key]
            self._keep(key, picture)
        future.set_result(picture)
        return picture

    def peek(self, url: str, task_id: int | None = None) -> Picture | None:
        """Return an image that is in memory; None for one that `get` would have to load."""
        with self._lock:
            return self._known(_key(url, task_id))

    def forget(self, url: str, task_id: int | None = None) -> None:
        """Have the next `get` of this image fetch it again: its file has changed."""
        with self._lock:
            picture = self._cache.pop(_key(url, task_id), None)
            if picture is not None:
                self._bytes -= picture.pixels.nbytes

    def prefetch(self, url: str, task_id: int | None = None) -> None:
        """Begin to load an image in the background; dropped when enough of its host are under way, errors only
        logged."""
        key, host = _key(url, task_id), _host(url)
        with self._lock:
            if key in self._cache or key in self._under_way or self._planned.count(host) >= AHEAD:
                return
            self._planned.append(host)

        def load() -> None:
            try:
                self.get(url, task_id)
            except ImageError as error:
                logger.info("task %s: image not fetched ahead: %s", task_id, error)
            finally:
                with self._lock:
                    self._planned.remove(host)

        self._ahead.submit(load)

    def stats(self) -> dict[str, int]:
        """Return counts since start, and what is held now: hits, misses, bytes, images."""
        with self._lock:
            held = {"bytes": self._bytes, "images": len(self._cache)}
            return {"hits": self._hits, "misses": self._misses, **held}

    def _known(self, key: str) -> Picture | None:
        """Return what is cached, as just used; the lock is held."""
        if key not in self._cache:
            return None
        self._hits += 1
        self._cache.move_to_end(key)
        return self._cache[key]

    def _keep(self, key: str, picture: Picture) -> None:
        if picture.pixels.nbytes > self._limit:
            logger.warning(
                "an image takes %d MB, more than the whole cache, and is loaded anew for every click: "
                "raise CLICKMASK_IMAGE_CACHE_MB",
                picture.pixels.nbytes >> 20,
            )
            return
        self._cache[key] = picture
        self._bytes += picture.pixels.nbytes
        while self._bytes > self._limit:
            _, oldest = self._cache.popitem(last=False)
            self._bytes -= oldest.pixels.nbytes

    def _load(self, url: str, task_id: int | None) -> Picture:
        try:
            data = self._read(url, task_id)
        except UnicodeError:
            raise ImageError(f"{shown(url)}: this is no address of an image") from None
        try:
            with self._decoding:
                pixels = decode(data, self._settings.max_image_megapixels)
        except DecodeError as error:
            raise ImageError(f"{shown(url)}: {error}") from error
        return Picture(pixels, hashlib.sha256(data).hexdigest()[:32])

    def _read(self, url: str, task_id: int | None) -> bytes:
        if is_inline(url):
            return self._inline(url)
        address, host = self._addresses.resolve(url, task_id), _host(url)
        limit = self._settings.max_image_mb << 20
        if self._gives_up and self._late[host] >= LATE:
            raise ImageError(f"{shown(url)}: not asked for, its host let the last {LATE} wait in vain")
        begin = time.monotonic()
        try:
            try:
                data = fetch(address, self._guard, self._client.headers, limit)
                self._late.pop(host, None)
                return data
            except FetchError as error:
                # The short-lived token may have been revoked: once more with a new one.
                if error.status != 401 or not self._by_studio(error, address) or not self._client.expire():
                    raise
                return fetch(address, self._guard, self._client.headers, limit)
        except FetchError as error:
            if self._gives_up and error.status is None and time.monotonic() - begin >= LATE_S:
                self._late[host] += 1
            raise ImageError(f"{shown(url)}: {self._explain(error, url, address)}") from error
        except LabelStudioError as error:
            raise ImageError(f"{shown(url)}: {error}") from error

    def _inline(self, url: str) -> bytes:
        """Return the bytes of a data: URI (RFC 2397), with the liberties that browsers allow."""
        head, comma, body = url.partition("#")[0].partition(",")
        if not comma:
            raise ImageError("a data: URI without a comma holds no image")
        if len(body) > (self._settings.max_image_mb << 20) * 4 // 3 + 4:
            raise ImageError(
                f"the data: URI is larger than {self._settings.max_image_mb} MB (CLICKMASK_MAX_IMAGE_MB)"
            )
        raw = unquote_to_bytes(body)
        if not head.rstrip().lower().endswith(";base64"):
            return raw
        raw = b"".join(raw.split())
        try:
            return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
        except binascii.Error as error:
            raise ImageError(f"the data: URI is no valid base64: {error}") from error

    def _by_studio(self, error: FetchError, address: str) -> bool:
        """Tell whether Label Studio said so of a file of its own."""
        return error.origin == self._guard.trusted and self._guard.opens(urlsplit(address).path)

    def _explain(self, error: FetchError, url: str, address: str) -> str:
        """Say what an HTTP status means here, and what to change."""
        status = error.status
        if status is None:
            return str(error)
        if not self._by_studio(error, address):
            hints = {
                401: ", no access",
                403: ", no access: was a signed address too old?",
                404: ", no such file",
            }
            return f"{error}{hints.get(status, '')}"
        if status == 401:
            if not self._settings.label_studio_api_key:
                return "Label Studio wants a token: set LABEL_STUDIO_API_KEY"
            return (
                "Label Studio refused the token (401): set LABEL_STUDIO_API_KEY to a personal access token, or "
                "enable legacy tokens for the organization"
            )
        if status == 403:
            return (
                "Label Studio denies access (403): the account of LABEL_STUDIO_API_KEY must be a member of the "
                "project, and local files need LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED in Label Studio"
            )
        if status == 404 and is_in_bucket(url):
            return "Label Studio finds no storage for it: connect this bucket in the project's Cloud Storage settings"
        if status == 404:
            return (
                "Label Studio has no such file (404): was the storage synced, and is LABEL_STUDIO_URL right?"
            )
        return f"Label Studio could not give it ({status}): is the file still there? Its log may say more"


def _host(url: str) -> str:
    """Return the host in an address, or the bucket; "" for Label Studio's own paths."""
    return url.partition("//")[2].partition("/")[0]


def _key(url: str, task_id: int | None) -> str:
    """Return what an image is cached under: its address, or a hash of data that is the address.

    What an address in a bucket leads to depends on the storages of the task's project.
    """
    if is_in_bucket(url):
        return f"{task_id} {url}"
    return url if len(url) < 4096 else hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()
