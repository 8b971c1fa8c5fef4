"""All settings of a clickmask process: one frozen object, read from the environment and checked at start."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fsspec import get_filesystem_class

from model.errors import ClickmaskError

logger = logging.getLogger(__name__)


class SettingsError(ClickmaskError, ValueError):
    """A setting cannot be used; every line names the variable, its value and what to put there."""


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not (parts.netloc or parts.path):
            raise ValueError(f"write a full address starting with {' or '.join(s + '://' for s in schemes)}")
        return text.rstrip("/")

    return parse


def _store(text: str) -> str:
    kind, given, _ = text.partition("://")
    fix = "write an fsspec URL, such as s3://bucket/clickmask"
    if not given:
        raise ValueError(fix)
    try:
        get_filesystem_class(kind)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{error}; {fix}") from None
    return text.rstrip("/")


def _number(kind: type, low: float, high: float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise ValueError(f"write {'a whole number' if kind is int else 'a number'} from {low} to {high}")
        return value

    return parse


def _choice(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in names:
            raise ValueError(f"write one of {', '.join(names)}")
        return text.lower()

    return parse


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("write 1 or 0")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in text.replace(",", " ").split())


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _variable(name: str, parse: Callable[[str], Any], default: Any, secret: bool = False) -> Any:
    metadata = {"variable": name, "parse": parse, "secret": secret}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, repr=False)
class Settings:
    """What one process needs to know; `from_env` names the variable of every field.

    Sizes in MB are 2**20 bytes, durations are seconds unless the name says otherwise. `redis_url` None means
    that no Redis was given: `clickmask up` then starts its own and passes its address on.
    """

    label_studio_url: str | None = _variable("LABEL_STUDIO_URL", _url("http", "https"), None)
    # A personal access token (it starts with "ey") or a legacy token (40 hex digits).
    label_studio_api_key: str | None = _variable("LABEL_STUDIO_API_KEY", str, None, secret=True)
    basic_auth_user: str | None = _variable("BASIC_AUTH_USER", str, None)
    basic_auth_pass: str | None = _variable("BASIC_AUTH_PASS", str, None, secret=True)
    # Label Studio sends no credentials with webhooks: this goes into the webhook's URL or header.
    webhook_secret: str | None = _variable("CLICKMASK_WEBHOOK_SECRET", str, None, secret=True)
    allow_anonymous: bool = _variable("CLICKMASK_ALLOW_ANONYMOUS", _flag, False)

    home: Path = _variable("CLICKMASK_HOME", _path, lambda: _path("~/.clickmask"))  # noqa: RUF009 - a field
    # An object store, as an fsspec URL, that machines without a common `home` share; None = a folder of `home`.
    registry: str | None = _variable("CLICKMASK_REGISTRY", _store, None)
    redis_url: str | None = _variable("CLICKMASK_REDIS_URL", _url("redis", "rediss", "unix"), None)
    host: str = _variable("CLICKMASK_HOST", str, "127.0.0.1")
    port: int = _variable("CLICKMASK_PORT", _number(int, 0, 65535), 9090)
    log_level: str = _variable("CLICKMASK_LOG_LEVEL", _choice("debug", "info", "warning", "error"), "info")
    # Every web process holds its own model; the GPU is best served by one.
    workers: int = _variable("CLICKMASK_WORKERS", _number(int, 1, 64), 1)
    web_threads: int = _variable("CLICKMASK_WEB_THREADS", _number(int, 1, 256), 32)

    device: str = _variable("CLICKMASK_DEVICE", _choice("auto", "cpu", "cuda", "openvino"), "auto")
    # auto: bfloat16 where the hardware computes in it; float32: the same answers on every CPU.
    precision: str = _variable("CLICKMASK_PRECISION", _choice("auto", "float32"), "auto")
    # Threads of one network pass on CPU; 0 = all cores.
    threads: int = _variable("CLICKMASK_THREADS", _number(int, 0, 256), 0)
    flip: bool = _variable("CLICKMASK_FLIP", _flag, False)
    # How many predictions run at once and how many may wait for their turn before 503.
    slots: int = _variable("CLICKMASK_SLOTS", _number(int, 1, 256), 8)
    queue: int = _variable("CLICKMASK_QUEUE", _number(int, 0, 1024), 16)
    deadline_s: float = _variable("CLICKMASK_DEADLINE_S", _number(float, 0.1, 100), 10.0)
    batch_size: int = _variable("CLICKMASK_BATCH_SIZE", _number(int, 1, 256), 16)
    # How many model versions (base and projects' own) stay loaded at once.
    loaded_models: int = _variable("CLICKMASK_LOADED_MODELS", _number(int, 1, 64), 3)

    image_hosts: tuple[str, ...] = _variable("CLICKMASK_IMAGE_HOSTS", _names, ())
    image_cache_mb: int = _variable("CLICKMASK_IMAGE_CACHE_MB", _number(int, 1, 1 << 20), 512)
    max_image_mb: int = _variable("CLICKMASK_MAX_IMAGE_MB", _number(int, 1, 4096), 50)
    max_image_megapixels: int = _variable("CLICKMASK_MAX_IMAGE_MEGAPIXELS", _number(int, 1, 2000), 100)
    session_cache_mb: int = _variable("CLICKMASK_SESSION_CACHE_MB", _number(int, 1, 1 << 20), 256)
    session_ttl_s: int = _variable("CLICKMASK_SESSION_TTL_S", _number(int, 1, 7 * 86400), 1800)
    # How long the way each object was clicked is kept, to tell good annotations from poor ones; 0 keeps nothing.
    trace_days: int = _variable("CLICKMASK_TRACE_DAYS", _number(int, 0, 3650), 90)
    # Label Studio sends every saved mask of the task along with each click, twice, as JSON numbers.
    max_body_mb: int = _variable("CLICKMASK_MAX_BODY_MB", _number(int, 1, 1024), 64)
    # How far, in image pixels, a polygon may run from the mask's edge.
    polygon_tolerance: float = _variable("CLICKMASK_POLYGON_TOLERANCE", _number(float, 0, 100), 1.0)

    # Which annotations teach the model; how many new ones, and how long after the last job, start the next.
    accept: str = _variable("CLICKMASK_ACCEPT", _choice("submitted", "ground-truth", "reviewed"), "submitted")
    train_after: int = _variable("CLICKMASK_TRAIN_AFTER", _number(int, 1, 1 << 20), 20)
    train_pause_s: float = _variable("CLICKMASK_TRAIN_PAUSE_S", _number(float, 0, 1e7), 600.0)
    train_timeout_s: int = _variable("CLICKMASK_TRAIN_TIMEOUT_S", _number(int, 60, 1 << 20), 7200)
    # How often projects are compared with Label Studio, to find what webhooks missed; 0 = only before training.
    sync_s: int = _variable("CLICKMASK_SYNC_S", _number(int, 0, 1 << 20), 600)
    # Bounds of one training; 0 steps chooses by the number of objects.
    train_minutes: float = _variable("CLICKMASK_TRAIN_MINUTES", _number(float, 0.01, 1e4), 4.0)
    train_steps: int = _variable("CLICKMASK_TRAIN_STEPS", _number(int, 0, 1 << 20), 0)
    # GPUs that learn together; a machine without any starts as many processes.
    train_devices: int = _variable("CLICKMASK_TRAIN_DEVICES", _number(int, 1, 64), 1)
    keep_versions: int = _variable("CLICKMASK_KEEP_VERSIONS", _number(int, 1, 1000), 5)
    # A training bundle (`clickmask train --pack`) mixed into every training, and a folder of images and masks on
    # which a tuned model must not get worse; without them, the base model's answers and made-up scenes serve.
    replay: Path | None = _variable("CLICKMASK_REPLAY", _path, None)  # noqa: RUF009 - a field
    general_set: Path | None = _variable("CLICKMASK_GENERAL_SET", _path, None)  # noqa: RUF009 - a field

    def __post_init__(self) -> None:
        if (self.basic_auth_user is None) != (self.basic_auth_pass is None):
            missing = "BASIC_AUTH_PASS" if self.basic_auth_pass is None else "BASIC_AUTH_USER"
            raise SettingsError(
                f"{missing} is not set: set both BASIC_AUTH_USER and BASIC_AUTH_PASS or neither"
            )
        if not (self.basic_auth_user or self.allow_anonymous or _is_loopback(self.host)):
            raise SettingsError(
                f"CLICKMASK_HOST is {self.host!r}, open to other machines, and nobody is asked for a password: "
                "set BASIC_AUTH_USER and BASIC_AUTH_PASS, or CLICKMASK_ALLOW_ANONYMOUS=1 where the network "
                "itself keeps strangers out (a private compose network, a firewall)"
            )

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{k}={v!r}' for k, v in self.masked().items() if v)})"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the environment (os.environ by default).

        Raises:
            SettingsError: one line for each variable that cannot be used. Empty variables count as unset.
        """
        env = os.environ if env is None else env
        values, problems = {}, []
        for field in dataclasses.fields(cls):
            name = field.metadata["variable"]
            text = env.get(name, "").strip()
            if not text:
                continue
            try:
                values[field.name] = field.metadata["parse"](text)
            except ValueError as error:
                shown = "(secret)" if field.metadata["secret"] else repr(_without_password(text))
                problems.append(f"{name} is {shown}: {error}")
        if problems:
            raise SettingsError("\n".join(problems))
        _warn_about_typos(env, {field.metadata["variable"] for field in dataclasses.fields(cls)})
        return cls(**values)

    def masked(self) -> dict[str, str]:
        """Variable name -> value as text, passwords and tokens replaced: fit for a log or a page."""
        shown = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and field.metadata["secret"]:
                value = "***"
            elif isinstance(value, str):
                value = _without_password(value)
            elif isinstance(value, tuple):
                value = " ".join(value)
            shown[field.metadata["variable"]] = "" if value is None else str(value)
        return shown

    def to_env(self) -> dict[str, str]:
        """The variables that give this object again: what a parent process hands to its children."""
        pairs = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                value = int(value)
            elif isinstance(value, tuple):
                value = " ".join(value)
            pairs[field.metadata["variable"]] = "" if value is None else str(value)
        return pairs


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_password(text: str) -> str:
    """user:password@host in an address -> user:***@host; any other text unchanged."""
    parts = urlsplit(text) if "://" in text else None
    if parts is None or "@" not in parts.netloc:
        return text
    account, _, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{account.partition(':')[0]}:***@{place}").geturl()


def _warn_about_typos(env: Mapping[str, str], known: set[str]) -> None:
    for name in sorted(env):
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if name.startswith("CLICKMASK_") and name not in known and close:
            logger.warning(
                "%s is not a setting of clickmask and is ignored; is it meant to be %s?", name, close[0]
            )
