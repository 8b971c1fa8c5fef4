"""Connects a Label Studio project to the backend: the ML backend, its webhook, and the project's settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.config_tree import ImageTag
from backend.label_studio.label_config import LabelConfig, LabelConfigError
from backend.settings import Settings

TITLE = "clickmask"
SECRET_HEADER = "X-Clickmask-Secret"  # of webhooks, to which Label Studio adds no password
IMAGE = ImageTag("image", "$image")
OUTPUTS = {"brush": "BrushLabels", "polygon": "PolygonLabels", "bitmask": "BitmaskLabels"}
# What Label Studio says of an address that it will not call.
_REFUSED = "reserved network address"
SWITCHES = (
    "Label Studio refuses backends at private addresses unless it is started with both "
    "LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false (or with "
    "LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS=false alone)"
)


def label_config(labels: Sequence[str], outputs: Sequence[str] = ("brush",), image: ImageTag = IMAGE) -> str:
    """Return a labeling config for clicks and boxes on one image, with one row of labels.

    The row stays selected while an annotator clicks, and accepting needs no Escape. The controls for masks are
    hidden, because their rows of the same labels would look like the one to choose from; they have to exist, so
    that exports carry the labels.

    Args:
        labels: names, at least one.
        outputs: what accepted masks become, of `OUTPUTS`.
        image: tells where the image is in a task's data, see `image_tag`.
    """
    tags = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    # An editor that smooths the image smooths bitmasks, too, and they would grow with every change.
    smoothing = ' smoothing="false"' if "bitmask" in outputs else ""
    controls = "".join(
        f'<{OUTPUTS[output]} name="{output}" toName="image" smart="false">{tags}</{OUTPUTS[output]}>'
        for output in outputs
    )
    # smartOnly: without it there is a second point tool, whose points look like clicks and are none.
    return (
        f'<View><Labels name="label" toName="image">{tags}</Labels>'
        f'<Image name="image" {image.attribute}={quoteattr(image.source)} zoom="true" zoomControl="true" '
        f'rotateControl="true"{smoothing}/>'
        '<KeyPoint name="kp" toName="image" smart="true" smartOnly="true"/>'
        '<Rectangle name="rect" toName="image" smart="true" smartOnly="true"/>'
        f'<View style="display:none">{controls}</View></View>'
    )


def image_tag(xml: str) -> ImageTag:
    """Return the first image tag of a labeling config that says where the image is; `IMAGE` where there is none."""
    try:
        images = LabelConfig.parse(xml).images
    except LabelConfigError:  # it is to be replaced
        images = ()
    return next((image for image in images if image.source), IMAGE)


@dataclass(frozen=True)
class Connection:
    """What connecting came to.

    Attributes:
        backend: id of the ML backend in Label Studio.
        webhook: id of its webhook.
        created: False where the project was connected before.
    """

    backend: int
    webhook: int
    created: bool


def connect(
    client: LabelStudio, project: int, url: str, settings: Settings, prelabel: bool = False
) -> Connection:
    """Connect a project to the backend at `url`; done again, it brings everything up to date.

    A backend of ours that is at another address moves to this one, its webhook with it.

    Args:
        prelabel: whether annotators find proposals on a task that they open.

    Raises:
        LabelStudioError: one sentence that says what to change; nothing half-made is left behind.
    """
    url = url.rstrip("/")
    # Before the backend: with prelabeling on, Label Studio would take it for the source of predictions.
    client.update_project(project, show_collab_predictions=prelabel)
    before = client.ml_backends(project)
    ours = next((b for b in before if url_of(b) == url), None) or next(
        (b for b in before if b["title"] == TITLE), None
    )
    fields = {"project": project, "url": url, "title": TITLE, "is_interactive": True, **_account(settings)}
    with _explained(client, project, url, {b["id"] for b in before}):
        if ours is None:
            backend = client.create_ml_backend(**fields)
        else:
            backend = client.update_ml_backend(ours["id"], **fields)
        old = None if ours is None or url_of(ours) == url else url_of(ours)
        webhook = _webhook(client, project, url, old, settings)
    if prelabel:
        # Label Studio chooses it by itself for a backend that is new, and "Label All Tasks" shows no other.
        client.update_project(project, model_version=TITLE)
    return Connection(backend["id"], webhook, ours is None)


def undotted(url: str) -> str:
    """Return what to do about a host name that Label Studio takes for no address, "" for any other.

    Webhooks need a dot in it, or localhost, or a number.
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost" or "." in host or ":" in host:
        return ""
    return (
        f"Label Studio takes no webhook to {url}, since the host name {host!r} has no dot: give the backend a name "
        "with one, such as a network alias clickmask.internal, and set CLICKMASK_URL or --url to it"
    )


def url_of(backend: dict[str, Any]) -> str:
    """Return the address of an ML backend as Label Studio lists it, without a slash at its end."""
    return str(backend["url"]).rstrip("/")


def find_webhook(client: LabelStudio, project: int, url: str) -> dict[str, Any] | None:
    """Return the project's webhook to the backend at `url`, whatever its parameters; None where there is none."""
    for webhook in client.webhooks(project):
        if str(webhook["url"]).partition("?")[0] == f"{url}/webhook":
            return webhook
    return None


def _account(settings: Settings) -> dict[str, str]:
    if settings.account is None:
        return {"auth_method": "NONE"}
    user, password = settings.account
    return {"auth_method": "BASIC_AUTH", "basic_auth_user": user, "basic_auth_pass": password}


def _webhook(client: LabelStudio, project: int, url: str, old: str | None, settings: Settings) -> int:
    """Bring the webhook up to date: its address, all actions with payload, and the secret in its header."""
    if old is not None:
        stale = find_webhook(client, project, old)
        if stale is not None:
            client.delete_webhook(stale["id"])
    fields: dict[str, Any] = {"url": f"{url}/webhook", "send_payload": True, "send_for_all_actions": True}
    if settings.webhook_secret is not None:
        fields["headers"] = {SECRET_HEADER: settings.webhook_secret}
    known = find_webhook(client, project, url)
    if known is None:
        return int(client.create_webhook(project=project, **fields)["id"])
    return int(client.update_webhook(known["id"], **fields)["id"])


@contextmanager
def _explained(client: LabelStudio, project: int, url: str, before: set[int]) -> Iterator[None]:
    """Give a refusal its reason, and take away what Label Studio keeps of a connection that failed half-way."""
    try:
        yield
    except LabelStudioError as error:
        for row in client.ml_backends(project):
            if row["id"] not in before:
                client.delete_ml_backend(row["id"])
        raise LabelStudioError(_reason(url, error), error.status) from error


def _reason(url: str, error: LabelStudioError) -> str:
    said = str(error)
    if undotted(url):
        return undotted(url)
    if _REFUSED in said:
        return f"{SWITCHES}; it refused {url}"
    if "authentication parameters" in said:
        return (
            f"the backend at {url} wants a password: give `clickmask connect` the same BASIC_AUTH_USER and "
            "BASIC_AUTH_PASS as the backend"
        )
    if "health check failed" in said:
        return (
            f"Label Studio cannot reach the backend at {url}: is it running, and is this its address as seen from "
            "Label Studio? (inside a container localhost is the container itself: use the service's or the "
            f"host's name) Label Studio says: {said}"
        )
    return said
