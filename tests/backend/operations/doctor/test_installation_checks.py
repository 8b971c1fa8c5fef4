"""The doctor's findings on this machine; tests/e2e/test_operation.py has those that need a Label Studio."""

import ssl
from itertools import takewhile
from pathlib import Path

import pytest
import torch
import trustme

from backend.operations.doctor import FAIL, OK, WARN, Finding, examine, installation_checks
from backend.operations.embedded_redis import EmbeddedRedis
from backend.settings import Settings
from model.versions import checkpoint, registry
from model.versions.registry import Registry
from tests.backend.http_server import Web, answers
from tests.backend.proxy_server import Proxy
from tests.backend.published_models import CARD, network
from tests.backend.redis_server import RedisServer
from tests.s3_server import ObjectStore


def test_newer_packaged_weights_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PACKAGED", tmp_path / "packaged")
    checkpoint.save(tmp_path / "packaged", network(0), CARD)
    settings = Settings(home=tmp_path / "home", device="cpu", threads=1)

    def found() -> list[Finding]:
        return list(takewhile(lambda finding: finding.subject == "model", examine(settings)))

    assert [finding.level for finding in found()] == [OK]
    (tmp_path / "packaged").rename(tmp_path / "old")
    checkpoint.save(tmp_path / "packaged", network(1), CARD)
    assert [finding.level for finding in found()] == [OK, WARN]
    assert "clickmask models import lite0-fpn --promote" in found()[1].text


def test_a_registry_that_cannot_be_reached_is_named(tmp_path: Path, object_store: ObjectStore) -> None:
    settings = Settings(home=tmp_path, registry=object_store.url, device="cpu", threads=1)
    Registry(tmp_path, object_store.url).ensure_base()

    def found() -> list[Finding]:
        return [finding for finding in examine(settings) if finding.subject in ("registry", "model")]

    assert [finding.level for finding in found()] == [OK]
    object_store.stop()
    registry, served = found()
    assert (
        registry.level == FAIL and object_store.url in registry.text and "CLICKMASK_REGISTRY" in registry.text
    )
    assert served.level == OK, "copies serve"


def test_a_device_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (found,) = list(installation_checks.model(Settings(home=tmp_path, device="cuda", threads=1)))
    assert found.level == FAIL
    assert "CLICKMASK_DEVICE is 'cuda'" in found.text


def test_the_redis_of_clickmask_up_is_found(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    (found,) = list(installation_checks.redis(settings))
    assert (found.level, "right with `clickmask up`" in found.text) == (OK, True)
    with EmbeddedRedis(tmp_path) as url:
        found, worker = list(installation_checks.redis(settings))
    assert (found.level, found.text) == (OK, f"{url} answers")
    assert (worker.level, worker.subject) == (WARN, "worker")


def test_a_redis_that_is_set_and_away_is_a_warning_without_its_password(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, redis_url="redis://:hidden-word@127.0.0.1:1/0")
    (found,) = list(installation_checks.redis(settings))
    assert found.level == WARN
    assert "redis://***@127.0.0.1:1/0 does not answer" in found.text
    assert "hidden-word" not in found.text


@pytest.mark.parametrize("command", ["CONFIG SET maxmemory 1", "REPLICAOF 127.0.0.1 1"])
def test_a_redis_that_takes_nothing_in_is_a_warning(
    redis_server: RedisServer, tmp_path: Path, command: str
) -> None:
    redis_server.client().execute_command(*command.split())
    (found,) = list(installation_checks.redis(Settings(home=tmp_path, redis_url=redis_server.url)))
    assert (found.level, "refuses what it is asked" in found.text) == (WARN, True)


def test_nothing_at_the_backends_address(tmp_path: Path) -> None:
    (found,) = list(installation_checks.backend(Settings(home=tmp_path), "http://127.0.0.1:1"))
    assert (found.level, "http://127.0.0.1:1" in found.text) == (FAIL, True)


def test_a_proxy_that_stands_before_the_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://ann:hidden-word@127.0.0.1:1")
    (found,) = list(installation_checks.backend(Settings(), "http://backend.example:9090"))
    assert (found.level, "hidden-word" in found.text) == (FAIL, False)
    assert "through the proxy http://***@127.0.0.1:1 of HTTP_PROXY" in found.text


def test_a_backend_whose_certificate_is_not_trusted_is_no_missing_one() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    web = Web(tls=context)
    try:
        (found,) = list(installation_checks.backend(Settings(), web.url))
    finally:
        web.close()
    assert (found.level, "unknown authority" in found.text) == (FAIL, True)


def test_this_machine_is_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account would be told to the proxy, whose loopback is another machine."""
    web = Web()
    web.routes["/ready"] = answers(200, b'{"ready": true}')
    proxy = Proxy(web.port)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    settings = Settings(basic_auth_user="u", basic_auth_pass="p", webhook_secret="s")
    try:
        (found,) = list(installation_checks.backend(settings, web.url))
        assert (found.level, proxy.asked) == (OK, [])
        (found,) = list(installation_checks.backend(settings, "http://backend.example:9090"))
        assert (found.level, proxy.asked) == (OK, ["GET http://backend.example:9090/ready"]), (
            "by the rule of all"
        )
    finally:
        proxy.close()
        web.close()
