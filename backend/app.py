"""The HTTP side: routes, limits, authentication and errors. What is answered is decided in `backend.service`."""

from __future__ import annotations

import json
import logging
import time
import uuid
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from backend.auth import SECRET_HEADER, Gate
from backend.events import Events
from backend.fields import Field, RequestError
from backend.images import ImageStore
from backend.labelstudio import LabelStudio
from backend.logs import request_id
from backend.metrics import Metrics
from backend.recent import Memory
from backend.service import Service
from backend.serving import NotReady, Serving, load
from backend.sessions import Sessions
from backend.settings import Settings
from backend.slots import Busy
from backend.store import Store
from backend.trace import Tracer
from backend.turn import Parts
from model.registry import Registry

logger = logging.getLogger(__name__)


class Backend:
    """Everything behind the routes of one process; found in ``app.extensions["clickmask"]``."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.store = Store(settings.redis_url)
        self.registry = Registry(settings.home)
        self.serving = Serving(
            self.registry,
            lambda version: load(version, settings),
            settings.loaded_models,
            self._model_changed,
        )
        parts = Parts(
            settings=settings,
            serving=self.serving,
            images=ImageStore(settings, LabelStudio(settings)),
            sessions=Sessions(self.store, settings.session_cache_mb << 20, settings.session_ttl_s),
            memory=Memory(self.store, settings.session_ttl_s),
            metrics=self.metrics,
            tracer=Tracer(self.store, settings.trace_days),
        )
        self.service = Service(parts)
        self.events = Events(self.store, self.metrics)
        self.gate = Gate(settings)
        self.serving.start()

    def close(self) -> None:
        """End the background threads; what waits for Redis is written first if that takes little time."""
        self.serving.stop()
        self.events.stop()

    def status(self) -> dict[str, Any]:
        """What there is to know about this process, for the readiness probe and the status page."""
        loaded, problems = self.serving.loaded(), self.serving.problems()
        running, waiting = self.service.slots.load()
        return {
            "ready": "base" in loaded,
            "reason": "" if "base" in loaded else problems.get("base", "the model is still loading"),
            "models": {line: {"version": s.version, "device": s.device} for line, s in loaded.items()},
            "problems": problems,
            "redis": self.store.state(),
            "predictions": {"running": running, "waiting": waiting},
        }

    def measure(self) -> None:
        """Bring the gauges of this process up to date."""
        running, waiting = self.service.slots.load()
        self.metrics.running.set(running)
        self.metrics.waiting.set(waiting)
        for name, value in self.service.parts.images.stats().items():
            self.metrics.images.labels(name).set(value)

    def _model_changed(self, version: str, device: str, loaded: bool) -> None:
        self.metrics.model.labels(version, device).set(int(loaded))


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application; models begin to load in the background.

    Raises:
        SettingsError: with ``settings`` None, if the environment cannot be used.
    """
    settings = settings or Settings.from_env()
    for name, value in settings.masked().items():
        logger.info("%s=%s", name, value)
    if settings.basic_auth_user and not settings.webhook_secret:
        logger.warning(
            "CLICKMASK_WEBHOOK_SECRET is not set: Label Studio sends no password with webhooks, so they will be "
            "refused; set it and run `clickmask connect`"
        )
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mb << 20
    backend = app.extensions["clickmask"] = Backend(settings)
    _around(app, backend)
    _label_studio_routes(app, backend)
    _operator_routes(app, backend)
    _errors(app)
    return app


def _around(app: Flask, backend: Backend) -> None:
    """Request id, authentication before and timing after every request."""

    @app.before_request
    def begin() -> Response | None:
        g.begin = time.perf_counter()
        g.id = uuid.uuid4().hex[:12]
        request_id.set(g.id)
        if request.path == "/webhook":
            return None  # its own rules, which need the body
        if not backend.gate.admits(request.path, dict(request.headers), _account()):
            return _unauthorized()
        return None

    @app.after_request
    def end(response: Response) -> Response:
        took = time.perf_counter() - g.begin
        route = request.url_rule.rule if request.url_rule is not None else "(none)"
        backend.metrics.requests.labels(route, str(response.status_code)).observe(took)
        response.headers["X-Request-Id"] = g.id
        level = logging.DEBUG if response.status_code < 400 else logging.WARNING
        # The path alone: the query may hold the webhook's secret.
        logger.log(level, "%s %s %d %.0f ms", request.method, request.path, response.status_code, took * 1000)
        return response


def _label_studio_routes(app: Flask, backend: Backend) -> None:
    service = backend.service

    @app.post("/predict")
    def predict() -> Response:
        results = service.predict(_json())
        backend.measure()
        return jsonify(results=results)

    @app.post("/setup")
    def setup() -> Response:
        # Label Studio waits 3 s at most, and asks with every page: nothing here may wait.
        return jsonify(model_version=service.version_of(_project(_json().get("project"))))

    @app.get("/versions")
    def versions() -> Response:
        names = {
            version.name for line in backend.registry.lines() for version in backend.registry.versions(line)
        }
        return jsonify(versions=sorted(names))

    @app.post("/webhook")
    def webhook() -> tuple[Response, int]:
        body = _json()
        action = Field(body)["action"].text()
        secrets = (request.headers.get(SECRET_HEADER), request.args.get("secret"))
        if not backend.gate.admits_event(action, tuple(s for s in secrets if s), _account()):
            return _unauthorized(), 401
        return jsonify(taken=backend.events.put(action, body)), 202

    @app.post("/train")
    def train() -> tuple[Response, int]:
        return jsonify(taken=backend.events.put("START_TRAINING", _json())), 202


def _operator_routes(app: Flask, backend: Backend) -> None:
    @app.get("/health")
    def health() -> Response:
        # Label Studio waits 1 s at most, also while models load or train: nothing here may wait.
        return jsonify(status="UP", model_class="clickmask")

    @app.get("/")
    def index() -> Response:
        return health()

    @app.get("/ready")
    def ready() -> tuple[Response, int]:
        status = backend.status()
        return jsonify(status), 200 if status["ready"] else 503

    @app.get("/metrics")
    def metrics() -> Response:
        backend.measure()
        return Response(backend.metrics.exposition(), mimetype="text/plain; version=0.0.4")


def _errors(app: Flask) -> None:
    """Every error leaves as JSON, and none with a traceback."""

    @app.errorhandler(RequestError)
    def malformed(error: RequestError) -> tuple[Response, int]:
        logger.warning("request refused: %s", error)
        return jsonify(error=str(error), field=error.path), 400

    @app.errorhandler(Busy)
    @app.errorhandler(NotReady)
    def later(error: Exception) -> tuple[Response, int, dict[str, str]]:
        logger.warning("no prediction: %s", error)
        return jsonify(error=str(error)), 503, {"Retry-After": "1"}

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> tuple[Response, int]:
        return jsonify(error=error.description), error.code or 500

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> tuple[Response, int]:
        logger.error("request %s failed", g.get("id", "-"), exc_info=error)
        return jsonify(error=f"internal error; the log tells more under request {g.get('id', '-')}"), 500


def _json() -> dict[str, Any]:
    """The body as a JSON object; RequestError for anything else."""
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise RequestError("body", f"not JSON: {error}") from None
    return Field(body).mapping()


def _project(value: Any) -> int | None:
    """The number in Label Studio's ``"<id>.<created>"``; None for anything else."""
    head = str(value).partition(".")[0]
    return int(head) if head.isdecimal() else None


def _account() -> tuple[str, str] | None:
    given = request.authorization
    if given is None or given.type != "basic":
        return None
    return given.username or "", given.password or ""


def _unauthorized() -> Response:
    response = jsonify(error="wrong or missing credentials; see BASIC_AUTH_USER, CLICKMASK_WEBHOOK_SECRET")
    response.status_code = 401
    response.headers["WWW-Authenticate"] = 'Basic realm="clickmask"'
    return response
