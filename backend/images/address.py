"""Where the images of tasks are: the http(s) address behind a value of a task's data."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote, urlencode, urlsplit

from backend.images.ssrf import ANY_PUBLIC_HOST, FetchError, Guard, origin
from backend.settings.masking import mask
from model.errors import ClickmaskError

# Where Label Studio serves files: its own, and those that it fetches or presigns. Nothing else of it is asked for:
# what a task's data names is fetched with the token.
STUDIO_PATH = re.compile(
    r"/data/(?:upload|local-files)/|/storage-data/|/static/|/tasks/\d+/(?:presign|resolve)/"
    r"|/projects/\d+/(?:presign|resolve|file-proxy)/"
)
UPWARDS = re.compile(r"(?:^|[/\\])\.{1,2}(?:[/\\]|$)")
CLOUD_SCHEMES = ("s3", "gs", "azure-blob")


class ImageError(ClickmaskError, RuntimeError):
    """An image cannot be had; the message is one sentence that says why and what to change."""


def is_file(path: str, prefix: str = "") -> bool:
    """Tell whether a path is that of a file of Label Studio, which lives under a prefix such as ``/studio``."""
    return STUDIO_PATH.match(path.removeprefix(prefix)) is not None and not _leads_upwards(path)


class Addresses:
    """Finds the address behind what a task's data says.

    Args:
        studio: LABEL_STUDIO_URL without a slash at its end; "" where it is not set.
        guard: which hosts may be asked.
    """

    def __init__(self, studio: str, guard: Guard) -> None:
        self._studio, self._guard = studio, guard

    def resolve(self, url: str, task_id: int | None = None) -> str:
        """Return the http(s) address behind a value of a task's data.

        Label Studio writes addresses of its own files in several ways, with the name it knows itself by, which
        need not be a name it has here; such paths always lead to LABEL_STUDIO_URL.

        Raises:
            ImageError: no address can be made of it.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ImageError(f"{shown(url)}: this is no address of an image") from None
        if parts.scheme in CLOUD_SCHEMES:
            if task_id is None:
                raise ImageError(
                    f"{shown(url)}: only Label Studio can open this address, and no task is known"
                )
            where = base64.urlsafe_b64encode(url.encode()).decode()
            return f"{self._base(url)}/tasks/{task_id}/presign/?{urlencode({'fileuri': where})}"
        if not parts.scheme and not url.startswith("/"):
            raise ImageError(f"{shown(url)}: neither a path of Label Studio (/data/...) nor a full address")
        relative = not parts.scheme and not parts.netloc
        served = None if _leads_upwards(parts.path) else STUDIO_PATH.search(parts.path)
        if relative and served is None:
            raise ImageError(f"{shown(url)}: Label Studio serves no files there, but below /data/upload/")
        if served is not None and (relative or self._is_studios(url, parts.path)):
            return self._base(url) + parts.path[served.start() :] + (f"?{parts.query}" if parts.query else "")
        # Browsers load //host/a.png by the scheme of the page, which is Label Studio's.
        return url if parts.scheme else f"{urlsplit(self._studio).scheme or 'https'}:{url}"

    def _is_studios(self, url: str, path: str) -> bool:
        """Tell whether an address that looks like one of Label Studio's own files is one, by whatever name."""
        if not self._studio or self._listed(url):
            return False
        # Where any host may be asked, the path has to be Label Studio's from its beginning on.
        return is_file(path, urlsplit(self._studio).path) or ANY_PUBLIC_HOST not in self._guard.hosts

    def _listed(self, url: str) -> bool:
        try:
            return self._guard.lists(origin(url))
        except FetchError:
            return False

    def _base(self, url: str) -> str:
        if not self._studio:
            raise ImageError(
                f"{shown(url)}: LABEL_STUDIO_URL is not set, so Label Studio cannot be asked for it"
            )
        return self._studio


def is_in_bucket(url: str) -> bool:
    """Tell whether an address is one in a bucket, which only Label Studio can open."""
    return url.partition(":")[0].lower() in CLOUD_SCHEMES


def shown(url: str) -> str:
    """Return an address for a message: without long data, and without what may hold a password or a signature."""
    if is_inline(url):
        return "data: URI"
    path, _, query = url.partition("#")[0].partition("?")
    file = query.partition("&")[0]
    visible = f"{path}?{file}" if path.endswith("/data/local-files/") and file.startswith("d=") else path
    return mask(visible)[:120].encode("ascii", "backslashreplace").decode()


def is_inline(url: str) -> bool:
    """Tell whether an address holds the image itself."""
    return url[:5].lower() == "data:"


def _leads_upwards(path: str) -> bool:
    """Tell whether whoever decodes a path may find a way out of its folder in it."""
    return UPWARDS.search(unquote(path)) is not None
