import datetime
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import trustme

from backend.images.fetch import fetch
from backend.images.ssrf import FetchError, Guard, origin
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.settings import Settings
from backend.settings.certificates import AUTHORITIES, authorities, refusal
from tests.backend.http_server import Web, answers

Start = Callable[[trustme.LeafCert | None], Web]

TRUSTED = trustme.CA()
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
CASES = [
    (None, r"does not answer by TLS \(.+\): is https:// right\?"),
    (TRUSTED.issue_cert("elsewhere.example"), "for another name"),
    (TRUSTED.issue_cert("127.0.0.1", not_after=PAST), "has expired or is not valid yet"),
    (trustme.CA().issue_cert("127.0.0.1"), "from an unknown authority: name it in REQUESTS_CA_BUNDLE"),
]


@pytest.fixture
def start() -> Iterator[Start]:
    servers = []

    def start(certificate: trustme.LeafCert | None) -> Web:
        context = None if certificate is None else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if certificate is not None and context is not None:
            certificate.configure_cert(context)
        servers.append(Web(tls=context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(params=AUTHORITIES)
def bundle(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of certificate authorities, whichever variable names it."""
    for name in AUTHORITIES:
        monkeypatch.delenv(name, raising=False)
    TRUSTED.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv(request.param, str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@pytest.mark.parametrize(("certificate", "said"), CASES, ids=["plain", "name", "expired", "authority"])
def test_what_is_wrong_is_said_of_the_api_as_of_images(
    certificate: trustme.LeafCert | None, said: str, start: Start, bundle: str
) -> None:
    url = f"https://127.0.0.1:{start(certificate).port}"
    with pytest.raises(LabelStudioError, match=said):
        LabelStudio(Settings(label_studio_url=url, label_studio_api_key="a" * 40)).version()
    with pytest.raises(FetchError, match=said):
        fetch(f"{url}/a.png", Guard(origin(url)))


def test_whoever_is_named_is_trusted_by_the_api_as_by_images(start: Start, bundle: str) -> None:
    web = start(TRUSTED.issue_cert("127.0.0.1"))
    web.routes["/a.png"] = answers(200, b"image")
    web.routes["/api/version"] = answers(200, b'{"release": "1.23.2"}')
    assert authorities() == bundle
    assert (
        LabelStudio(Settings(label_studio_url=web.url, label_studio_api_key="a" * 40)).version() == "1.23.2"
    )
    assert fetch(f"{web.url}/a.png", Guard(origin(web.url))) == b"image"


def test_an_error_without_a_cause_has_a_sentence_too() -> None:
    assert "is https:// right?" in refusal(requests.exceptions.SSLError("odd"))
