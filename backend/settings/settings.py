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

from backend.settings import values
from backend.settings.certificates import AUTHORITIES, unusable
from backend.settings.masking import MASK, passwords, without_password
from model.errors import ClickmaskError

logger = logging.getLogger(__name__)


class SettingsError(ClickmaskError, ValueError):
    """A setting cannot be used; every line names the variable, its value and what to put there."""


def _home() -> Path:
    try:
        return values.path("~/.clickmask")
    except ValueError:
        raise SettingsError(
            "CLICKMASK_HOME is not set, and this user has no home folder (HOME): set CLICKMASK_HOME to a folder "
            "that can be written"
        ) from None


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

    label_studio_url: str | None = _variable("LABEL_STUDIO_URL", values.url("http", "https"), None)
    # A personal access token (it starts with "ey") or a legacy token (40 hex digits).
    label_studio_api_key: str | None = _variable("LABEL_STUDIO_API_KEY", values.token, None, secret=True)
    basic_auth_user: str | None = _variable("BASIC_AUTH_USER", values.account, None)
    basic_auth_pass: str | None = _variable("BASIC_AUTH_PASS", values.account, None, secret=True)
    # Label Studio sends no credentials with webhooks: `connect` writes this into their header; ?secret= is read, too.
    webhook_secret: str | None = _variable("CLICKMASK_WEBHOOK_SECRET", values.header, None, secret=True)
    allow_anonymous: bool = _variable("CLICKMASK_ALLOW_ANONYMOUS", values.flag, False)

    home: Path = _variable("CLICKMASK_HOME", values.path, _home)  # noqa: RUF009 - a field
    # An object store, as an fsspec URL, that machines without a common `home` share; None = a folder of `home`.
    registry: str | None = _variable("CLICKMASK_REGISTRY", values.store, None)
    redis_url: str | None = _variable("CLICKMASK_REDIS_URL", values.redis_url, None)
    host: str = _variable("CLICKMASK_HOST", values.host, "127.0.0.1")
    port: int = _variable("CLICKMASK_PORT", values.number(int, 1, 65535), 9090)
    # Where Label Studio reaches the backend, if that is not where it listens.
    url: str | None = _variable("CLICKMASK_URL", values.url("http", "https"), None)
    log_level: str = _variable(
        "CLICKMASK_LOG_LEVEL", values.choice("debug", "info", "warning", "error"), "info"
    )
    # Every web process holds its own model; the GPU is best served by one.
    workers: int = _variable("CLICKMASK_WORKERS", values.number(int, 1, 64), 1)
    web_threads: int = _variable("CLICKMASK_WEB_THREADS", values.number(int, 1, 256), 32)

    device: str = _variable("CLICKMASK_DEVICE", values.choice("auto", "cpu", "cuda", "openvino"), "auto")
    # auto: bfloat16 where the hardware computes in it; float32: the same answers on every CPU.
    precision: str = _variable("CLICKMASK_PRECISION", values.choice("auto", "float32"), "auto")
    # Threads of one network pass on CPU; 0 = all cores, or as many as a quota pays for.
    threads: int = _variable("CLICKMASK_THREADS", values.number(int, 0, 256), 0)
    flip: bool = _variable("CLICKMASK_FLIP", values.flag, False)
    # How many predictions run at once and how many may wait for their turn before 503.
    slots: int = _variable("CLICKMASK_SLOTS", values.number(int, 1, 256), 8)
    queue: int = _variable("CLICKMASK_QUEUE", values.number(int, 0, 1024), 16)
    deadline_s: float = _variable("CLICKMASK_DEADLINE_S", values.number(float, 0.1, 100), 10.0)
    batch_size: int = _variable("CLICKMASK_BATCH_SIZE", values.number(int, 1, 256), 16)
    # How many model versions (base and projects' own) stay loaded at once.
    loaded_models: int = _variable("CLICKMASK_LOADED_MODELS", values.number(int, 1, 64), 3)

    image_hosts: tuple[str, ...] = _variable("CLICKMASK_IMAGE_HOSTS", values.hosts, ())
    image_cache_mb: int = _variable("CLICKMASK_IMAGE_CACHE_MB", values.number(int, 1, 1 << 20), 512)
    max_image_mb: int = _variable("CLICKMASK_MAX_IMAGE_MB", values.number(int, 1, 4096), 50)
    max_image_megapixels: int = _variable("CLICKMASK_MAX_IMAGE_MEGAPIXELS", values.number(int, 1, 2000), 100)
    session_cache_mb: int = _variable("CLICKMASK_SESSION_CACHE_MB", values.number(int, 1, 1 << 20), 256)
    session_ttl_s: int = _variable("CLICKMASK_SESSION_TTL_S", values.number(int, 1, 7 * 86400), 1800)
    # How long the way each object was clicked is kept, to tell good annotations from poor ones; 0 keeps nothing.
    trace_days: int = _variable("CLICKMASK_TRACE_DAYS", values.number(int, 0, 3650), 90)
    # Label Studio sends every saved mask of the task along with each click, twice, as JSON numbers.
    max_body_mb: int = _variable("CLICKMASK_MAX_BODY_MB", values.number(int, 1, 1024), 64)
    # How far, in image pixels, a polygon may run from the mask's edge.
    polygon_tolerance: float = _variable("CLICKMASK_POLYGON_TOLERANCE", values.number(float, 0, 100), 1.0)
    # Objects that are proposed on a task at most, where the project's model proposes any; 0 proposes nothing.
    proposals: int = _variable("CLICKMASK_PROPOSALS", values.number(int, 0, 1000), 60)

    # Which annotations teach the model; how many new ones, and how long after the last job, start the next.
    accept: str = _variable(
        "CLICKMASK_ACCEPT", values.choice("submitted", "ground-truth", "reviewed"), "submitted"
    )
    train_after: int = _variable("CLICKMASK_TRAIN_AFTER", values.number(int, 1, 1 << 20), 20)
    train_pause_s: float = _variable("CLICKMASK_TRAIN_PAUSE_S", values.number(float, 0, 1e7), 600.0)
    train_timeout_s: int = _variable("CLICKMASK_TRAIN_TIMEOUT_S", values.number(int, 60, 1 << 20), 7200)
    # How often projects are compared with Label Studio, to find what webhooks missed; 0 = only before training.
    sync_s: int = _variable("CLICKMASK_SYNC_S", values.number(int, 0, 1 << 20), 600)
    # Bounds of one training; 0 steps chooses by the number of objects.
    train_minutes: float = _variable("CLICKMASK_TRAIN_MINUTES", values.number(float, 0.01, 1e4), 20.0)
    train_steps: int = _variable("CLICKMASK_TRAIN_STEPS", values.number(int, 0, 1 << 20), 0)
    # GPUs that learn together; a machine without any starts as many processes.
    train_devices: int = _variable("CLICKMASK_TRAIN_DEVICES", values.number(int, 1, 64), 1)
    keep_versions: int = _variable("CLICKMASK_KEEP_VERSIONS", values.number(int, 1, 1000), 5)
    # A training bundle (`clickmask train --bundle`) mixed into every training, and a folder of images and masks on
    # which a tuned model must not get worse; without them, the base model's answers and made-up scenes serve.
    replay: Path | None = _variable("CLICKMASK_REPLAY", values.path, None)  # noqa: RUF009 - a field
    general_set: Path | None = _variable("CLICKMASK_GENERAL_SET", values.path, None)  # noqa: RUF009 - a field

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
                shown = "(secret)" if field.metadata["secret"] else repr(without_password(text))
                problems.append(f"{name} is {shown}: {error}")
        # Else every request would fail, instead of the start.
        problems += filter(None, (unusable(name, env) for name in AUTHORITIES))
        if problems:
            raise SettingsError("\n".join(problems))
        _warn_about_typos(env, {field.metadata["variable"] for field in dataclasses.fields(cls)})
        return cls(**values)

    @property
    def bind(self) -> str:
        """Return where the web server listens, in gunicorn's form: HOST:PORT, [IPv6]:PORT or unix:PATH."""
        return self.host if self.host.startswith("unix:") else f"{_bracketed(self.host)}:{self.port}"

    @property
    def own_url(self) -> str:
        """Return the web server's address as this machine reaches it; a wildcard host becomes loopback.

        Raises:
            SettingsError: the server listens on a socket file, which has no such address.
        """
        if self.host.startswith("unix:"):
            raise SettingsError(
                f"CLICKMASK_HOST is {self.host!r}, a socket file: `clickmask serve` can listen there, but this "
                "command asks the server at a port; set CLICKMASK_HOST to an address, such as 127.0.0.1"
            )
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{_bracketed(host)}:{self.port}"

    @property
    def public_url(self) -> str:
        """Return the backend's address as Label Studio reaches it.

        Raises:
            SettingsError: the server listens on a socket file, and CLICKMASK_URL is not set.
        """
        if self.url is None and self.host.startswith("unix:"):
            raise SettingsError(
                f"CLICKMASK_HOST is {self.host!r}, a socket file: set CLICKMASK_URL or --url to the address of the "
                "proxy before it"
            )
        return self.url or self.own_url

    @property
    def account(self) -> tuple[str, str] | None:
        """Return the user and password that callers must name; None where nobody is asked."""
        if self.basic_auth_user is None or self.basic_auth_pass is None:
            return None
        return self.basic_auth_user, self.basic_auth_pass

    def secrets(self) -> tuple[str, ...]:
        """Return every password and token, for `masking.mask`."""
        fields = (field for field in dataclasses.fields(self) if getattr(self, field.name) is not None)
        values = [(field.metadata["secret"], getattr(self, field.name)) for field in fields]
        plain = [value for secret, value in values if secret]
        addresses = [value for secret, value in values if not secret and isinstance(value, str)]
        return (*plain, *(word for address in addresses for word in passwords(address)))

    def masked(self) -> dict[str, str]:
        """Return the values as text by variable, passwords and tokens replaced: fit for a log or a page."""
        shown = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and field.metadata["secret"]:
                value = MASK
            elif isinstance(value, str):
                value = without_password(value)
            shown[field.metadata["variable"]] = _text(value)
        return shown

    def to_env(self) -> dict[str, str]:
        """Return the variables that give this object again: what a parent process hands to its children."""
        pairs = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            pairs[field.metadata["variable"]] = _text(int(value) if isinstance(value, bool) else value)
        return pairs


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return "" if value is None else str(value)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _warn_about_typos(env: Mapping[str, str], known: set[str]) -> None:
    for name in sorted(env):
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if name.startswith("CLICKMASK_") and name not in known and close:
            logger.warning(
                "%s is not a setting of clickmask and is ignored; is it meant to be %s?", name, close[0]
            )
