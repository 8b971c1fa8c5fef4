"""What is known of Label Studio itself: whether it answers, and to which token."""

from __future__ import annotations

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.transport import token_kind
from backend.operations.doctor.finding import FAIL, OK, WARN, Finding, Findings
from backend.settings import Settings

# `make test-versions` passes with these, and with one between.
OLDEST, NEWEST = (1, 15), (1, 23)


def untested(version: str) -> str:
    """Return what is to be said of a version of Label Studio; "" for one between those that are tested."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    between = f"clickmask is tested with {'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))}"
    if len(numbers) < 2:
        return f"Label Studio calls its version {version!r}: {between}"
    if numbers < OLDEST:
        return f"{version} is older than what is tested; {between}: update Label Studio"
    if numbers > NEWEST:
        return f"{version} is newer than what is tested; {between}: try a click before you rely on it"
    return ""


def label_studio(settings: Settings, client: LabelStudio) -> Findings:
    """Ask Label Studio for its version, and whose token is used."""
    if settings.label_studio_url is None:
        yield Finding(FAIL, "label studio", "LABEL_STUDIO_URL is not set: uploaded images cannot be fetched")
        return
    if not settings.label_studio_api_key:
        text = "LABEL_STUDIO_API_KEY is not set: create a personal access token under Account & Settings"
        yield Finding(FAIL, "token", text)
        return
    try:
        version = client.version()
    except LabelStudioError as error:
        yield Finding(FAIL, "label studio", str(error))
        return
    yield Finding(OK, "label studio", f"{client.url} answers, version {version}")
    doubt = untested(version)
    if doubt:
        yield Finding(WARN, "version", doubt)
    kind = {"refresh": "personal access token", "legacy": "legacy token", "access": "short-lived token"}[
        token_kind(settings.label_studio_api_key)
    ]
    try:
        name = client.whoami().get("email", "an account without e-mail")
    except LabelStudioError as error:
        yield Finding(FAIL, "token", f"{kind}: {error}")
        return
    if kind == "short-lived token":
        yield Finding(WARN, "token", "it ends within minutes: create a personal access token instead")
    else:
        yield Finding(OK, "token", f"{kind} of {name}")
