"""What is on this machine: the model, Redis with its workers, and the backend."""

from __future__ import annotations

import importlib.util

import requests

from backend.label_studio.transport import ask
from backend.operations.doctor.finding import FAIL, OK, WARN, Finding, Findings
from backend.operations.redis_client import RedisUnreachable, connected, redis_url
from backend.settings import Settings
from backend.settings.certificates import refusal
from backend.settings.masking import without_password
from backend.settings.proxies import EXCEPTED, described, proxy_for


def model(settings: Settings) -> Findings:
    """Load the served base model, and look for newer weights in the package."""
    import torch

    from backend.serving.loader import load
    from model.versions.registry import Registry, packaged

    if not torch.cuda.is_available() and importlib.util.find_spec("openvino") is None:
        yield Finding(WARN, "engine", "no GPU and no OpenVINO: clicks are slow; pip install openvino")
    registry = Registry(settings.home, settings.registry)
    trouble = registry.refresh("base")
    if trouble:
        yield Finding(FAIL, "registry", f"{trouble}; check CLICKMASK_REGISTRY, its keys and the network")
    try:
        served = load(registry.ensure_base(), settings)
        newer = registry.new_default()
    except Exception as error:  # drivers and libraries fail in many ways, each of which is a finding
        said = str(error) or type(error).__name__
        text = f"{said}; CLICKMASK_DEVICE is {settings.device!r}, `clickmask models list` shows what there is"
        yield Finding(FAIL, "model", text)
        return
    yield Finding(OK, "model", f"{served.version} on {served.device}, from {registry.root}")
    if newer is not None:
        how = f"`clickmask models import {next(iter(packaged()))} --promote` serves them"
        text = f"the installed package brings other weights ({newer}): {how}"
        yield Finding(WARN, "model", text)


def redis(settings: Settings) -> Findings:
    """Ask the installation's Redis, write into it, and ask how many workers it knows."""
    from backend.jobs.status import count_workers

    shown = without_password(redis_url(settings))
    try:
        with connected(settings, timeout_s=3) as client:
            client.set("clickmask:doctor", 1, ex=60)  # one that is full, or a copy of another, only answers
            workers = count_workers(client)
    except RedisUnreachable as error:
        if settings.redis_url is None:
            text = "CLICKMASK_REDIS_URL is not set: right with `clickmask up`, which has its own; else set it"
            yield Finding(OK, "redis", text)
        else:
            yield Finding(WARN, "redis", f"{error}; clicks work without, training does not")
        return
    yield Finding(OK, "redis", f"{shown} answers")
    if workers == 0:
        yield Finding(WARN, "worker", "none: nothing will be trained; run `clickmask worker`")
    else:
        yield Finding(OK, "worker", f"{workers} running")


def backend(settings: Settings, url: str) -> Findings:
    """Ask the backend at `url` whether it is ready, with the account of the settings."""
    try:
        answer = ask(f"{url}/ready", timeout=5, auth=settings.account)
        status = answer.json()
    except requests.exceptions.SSLError as error:
        yield Finding(FAIL, "backend", f"{url} cannot be reached: {refusal(error)}")
        return
    except (OSError, ValueError):  # of requests, which also fails with plain OSErrors
        proxy, text = proxy_for(url), f"nothing that is clickmask answers at {url}: run `clickmask up`"
        if proxy:
            text += f"; it is asked through {described(proxy)}, and {EXCEPTED}"
        yield Finding(FAIL, "backend", text)
        return
    if answer.status_code == 401:
        text = f"{url} refuses BASIC_AUTH_USER and BASIC_AUTH_PASS: give the doctor those of the backend"
        yield Finding(FAIL, "backend", text)
    elif not status.get("ready"):
        yield Finding(FAIL, "backend", f"{url} has no model yet: {status.get('reason')}")
    else:
        yield Finding(OK, "backend", f"{url} answers")
    if settings.account is not None and settings.webhook_secret is None:
        text = (
            "CLICKMASK_WEBHOOK_SECRET is not set, so accepted annotations are refused: set it, then run "
            "`clickmask connect`"
        )
        yield Finding(WARN, "webhook", text)
