"""What is known of Label Studio itself: whether it answers, and to which token."""

from __future__ import annotations

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.tokens import token_kind
from backend.operations.doctor.finding import FAIL, OK, WARN, Finding, Findings
from backend.settings import Settings


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
        yield Finding(OK, "label studio", f"{client.url} answers, version {version}")
    except LabelStudioError as error:
        yield Finding(FAIL, "label studio", str(error))
        return
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
