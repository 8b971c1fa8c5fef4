"""Describes the settings for people: `python -m backend.settings.reference` writes docs/settings.md."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from backend.settings.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

MEANINGS = {
    "LABEL_STUDIO_URL": "Address of Label Studio as the backend reaches it",
    "LABEL_STUDIO_API_KEY": "Personal access token (or legacy token), to fetch images and annotations",
    "BASIC_AUTH_USER": "Account that callers must name; `connect` gives it to Label Studio",
    "BASIC_AUTH_PASS": "Its password; both or none",
    "CLICKMASK_WEBHOOK_SECRET": (
        "Label Studio sends no password with webhooks; `connect` puts this into their header"
    ),
    "CLICKMASK_ALLOW_ANONYMOUS": ("Allows `CLICKMASK_HOST` to be open to other machines without a password"),
    "CLICKMASK_HOME": "Model versions, caches, the embedded Redis's data",
    "CLICKMASK_REGISTRY": (
        "An object store for model versions, as an fsspec URL (s3://bucket/clickmask); "
        "without it they are in `CLICKMASK_HOME`"
    ),
    "CLICKMASK_REDIS_URL": "A Redis of yours, 6.2 or newer, not in cluster mode; without it `up` starts its own",
    "CLICKMASK_HOST": (
        "Address on which the web server listens; with unix:PATH `serve` listens on a socket file, and "
        "`CLICKMASK_URL` has to name the proxy before it"
    ),
    "CLICKMASK_PORT": "Its port",
    "CLICKMASK_URL": "Address of the backend as Label Studio reaches it; without it `http://HOST:PORT`",
    "CLICKMASK_LOG_LEVEL": "debug, info, warning, error",
    "CLICKMASK_WORKERS": "Web processes; each holds its own model",
    "CLICKMASK_WEB_THREADS": "Threads per web process",
    "CLICKMASK_DEVICE": (
        "auto, cpu (plain PyTorch, slower than OpenVINO), cuda, openvino; auto takes CUDA, else OpenVINO, else cpu"
    ),
    "CLICKMASK_PRECISION": (
        "auto, float32; auto takes bfloat16 where the hardware computes in it (CPUs with AMX or AVX-512 for it, "
        "GPUs; before Ampere float16): less time, and masks that differ in a few pixels from those of "
        "another machine"
    ),
    "CLICKMASK_THREADS": (
        "CPU threads of one network pass; 0 = all cores, or as many as a container's quota pays for; plain "
        "PyTorch heeds `OMP_NUM_THREADS` instead"
    ),
    "CLICKMASK_FLIP": "Average with the mirrored image: a little better, twice the time",
    "CLICKMASK_SLOTS": "Predictions at once",
    "CLICKMASK_QUEUE": "Predictions that may wait; more are answered with 503",
    "CLICKMASK_DEADLINE_S": "After so long a click is answered with the last good mask",
    "CLICKMASK_BATCH_SIZE": "Clicks of several annotators in one GPU pass, at most",
    "CLICKMASK_LOADED_MODELS": "Model versions kept loaded",
    "CLICKMASK_IMAGE_HOSTS": (
        "Hosts besides Label Studio from which images may be loaded, with commas or spaces between them: `name` "
        "or `name:port`, or `*` for every public host"
    ),
    "CLICKMASK_IMAGE_CACHE_MB": "Decoded images kept",
    "CLICKMASK_MAX_IMAGE_MB": "Larger image files are refused",
    "CLICKMASK_MAX_IMAGE_MEGAPIXELS": "Larger images are refused",
    "CLICKMASK_SESSION_CACHE_MB": ("Answers to earlier clicks kept in memory; lost ones are computed again"),
    "CLICKMASK_SESSION_TTL_S": "How long Redis keeps them",
    "CLICKMASK_TRACE_DAYS": "How long the way objects were clicked is kept for `review`; 0 = not at all",
    "CLICKMASK_MAX_BODY_MB": (
        "Largest request; Label Studio sends all saved masks of a task with each click"
    ),
    "CLICKMASK_POLYGON_TOLERANCE": "How far a polygon may run from the mask's edge, in pixels",
    "CLICKMASK_PROPOSALS": "Objects proposed on a task that nobody has clicked, at most; 0 = none",
    "CLICKMASK_ACCEPT": "Which annotations teach the model: submitted, ground-truth, reviewed",
    "CLICKMASK_TRAIN_AFTER": "So many new ones start a training",
    "CLICKMASK_TRAIN_PAUSE_S": "At least so long after the last one",
    "CLICKMASK_SYNC_S": (
        "How often a worker compares projects with Label Studio, for lost webhooks; 0 = only before training"
    ),
    "CLICKMASK_TRAIN_TIMEOUT_S": "A training is ended after so long",
    "CLICKMASK_TRAIN_MINUTES": "Outer bound of a training, which ends with its steps",
    "CLICKMASK_TRAIN_STEPS": "Its length in steps; 0 = by the number of objects",
    "CLICKMASK_TRAIN_DEVICES": "GPUs that share one training; without GPUs, so many processes on the CPU",
    "CLICKMASK_KEEP_VERSIONS": "Model versions kept per project",
    "CLICKMASK_REPLAY": "A training bundle mixed into every training",
    "CLICKMASK_GENERAL_SET": (
        "A folder of images and masks, as `evaluate --data` takes it, on which a tuned model must not get worse"
    ),
}


HEAD = """# Settings

Environment variables; `clickmask up` and `serve` print them at start with secrets masked, and refuse what cannot
be used. Empty ones count as unset. `REQUESTS_CA_BUNDLE` names certificate authorities of your own, and `HTTP_PROXY`,
`HTTPS_PROXY` and `NO_PROXY` are read as everywhere.

| Variable | Default | Meaning |
|---|---|---|
"""


def page() -> str:
    """Return the page in Markdown, one row for each setting in the order of `Settings`."""
    rows = []
    for field in dataclasses.fields(Settings):
        variable = field.metadata["variable"]
        rows.append(f"| `{variable}` | {_shown(field)} | {MEANINGS[variable]} |")
    return HEAD + "\n".join(rows) + "\n"


def _shown(field: dataclasses.Field[object]) -> str:
    """Return the default as one would write it into the environment."""
    if field.name == "home":
        return "~/.clickmask"
    if field.default is None or field.default == ():
        return ""
    if isinstance(field.default, bool):
        return str(int(field.default))
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


if __name__ == "__main__":
    PAGE.write_text(page())
