"""Serves HTTP: routes, limits, authentication and errors; `backend.clicks.service` decides what is answered."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, jsonify, request, send_from_directory
from werkzeug.exceptions import HTTPException

from backend.assembly import Backend
from backend.clicks.admission import Overloaded
from backend.json_fields import Field, RequestError, elements, project_number
from backend.label_studio.connect import SECRET_HEADER
from backend.label_studio.predict_request import PredictRequest
from backend.logs import request_id
from backend.serving.model_pool import NotReady
from backend.settings import Settings
from backend.web import monitoring, status_page
from backend.web.auth import Authenticator, account, check_sender
from backend.web.body import read_body
from backend.web.learning import LearningFigures
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import picture_of
from model.errors import ClickmaskError

logger = logging.getLogger(__name__)


# What the status of an answer is; errors that are not named here are ours.
STATUS: dict[type[ClickmaskError], int] = {RequestError: 400, Overloaded: 503, NotReady: 503}
RETRY_S = 1  # after a 503


def create_app(settings: Settings, observer: Callable[[str, float], None] = lambda *_: None) -> Flask:
    """Build the application; models begin to load in the background.

    Args:
        settings: of the process.
        observer: told of every stage of a click, see `backend.metrics.Metrics`.
    """
    for name, value in settings.masked().items():
        logger.info("%s=%s", name, value)
    if settings.basic_auth_user and not settings.webhook_secret:
        logger.warning(
            "CLICKMASK_WEBHOOK_SECRET is not set: Label Studio sends no password with webhooks, so they will be "
            "refused; set it and run `clickmask connect`"
        )
    if settings.workers > 1 and settings.redis_url is None:
        logger.warning(
            "CLICKMASK_WORKERS=%d without CLICKMASK_REDIS_URL: every process knows only what it answered itself, so "
            "that refining with Auto-Accept fails at random and this page differs; set it, or run one worker",
            settings.workers,
        )
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mb << 20
    backend = app.extensions["clickmask"] = Backend(settings, observer)
    auth = Authenticator(settings)
    _around(app, backend, auth)
    _label_studio_routes(app, backend, auth)
    _operator_routes(app, backend, LearningFigures(settings))
    _errors(app, backend)
    return app


def _around(app: Flask, backend: Backend, auth: Authenticator) -> None:
    """Request id, authentication before and timing after every request."""

    @app.before_request
    def begin() -> Response | None:
        g.begin = time.perf_counter()
        g.id = uuid.uuid4().hex[:12]
        request_id.set(g.id)
        carries = request.content_length or "Transfer-Encoding" in request.headers
        if request.url_rule is not None and request.method == "POST" and carries:
            check_sender(request.host, request.mimetype, request.headers.get("Origin"), auth.has_account)
        if request.path == "/webhook":
            return None  # its own rules, which need the body
        if not auth.admits(request.path, dict(request.headers), _account()):
            return _unauthorized()
        return None

    @app.after_request
    def end(response: Response) -> Response:
        took = time.perf_counter() - g.begin
        route = request.url_rule.rule if request.url_rule is not None else "(none)"
        backend.metrics.requests.labels(route, str(response.status_code)).observe(took)
        response.headers["X-Request-Id"] = g.id
        # Not ready is said of a model that loads, many times; why one cannot be loaded is logged there.
        well = response.status_code < 400 or request.path == "/ready"
        level = logging.DEBUG if well else logging.WARNING
        # The path alone: the query may hold the webhook's secret.
        logger.log(level, "%s %s %d %.0f ms", request.method, request.path, response.status_code, took * 1000)
        return response


def _label_studio_routes(app: Flask, backend: Backend, auth: Authenticator) -> None:
    service = backend.service

    @app.post("/predict")
    def predict() -> Response:
        body = _json()
        g.task = _first_task(body)
        return jsonify(results=service.predict(PredictRequest.parse(body)))

    @app.post("/setup")
    def setup() -> Response:
        # Label Studio waits 3 s at most, and asks with every page: nothing here may wait.
        project = project_number(_json().get("project"))
        if project is not None:  # it is compared with Label Studio even if no webhook ever arrives
            backend.redis.write_behind(lambda client: Ledger(client).meet(project))
        return jsonify(model_version=service.version_of(project))

    @app.get("/versions")
    def versions() -> Response:
        names = {name for line in backend.registry.lines() for name in backend.registry.names(line)}
        return jsonify(versions=sorted(names))

    @app.post("/webhook")
    def webhook() -> tuple[Response, int]:
        body = _json()
        action = Field(body)["action"].text()
        secrets = (request.headers.get(SECRET_HEADER), request.args.get("secret"))
        if not auth.admits_event(action, tuple(s for s in secrets if s), _account()):
            return _unauthorized(), 401
        backend.review_updater.put(action, body)
        return jsonify(taken=backend.webhooks.put(action, body)), 202

    @app.post("/train")
    def train() -> tuple[Response, int]:
        project = project_number(_json().get("project"))
        if project is None:
            raise RequestError("project", 'missing; send {"id": 3} or "3"')
        taken = backend.webhooks.put("START_TRAINING", {"project": {"id": project}})
        # Who asks here waits for an answer, unlike a webhook.
        return jsonify(taken=taken), 202 if taken else 503


def _operator_routes(app: Flask, backend: Backend, figures: LearningFigures) -> None:
    @app.get("/health")
    def health() -> Response:
        # Label Studio waits 1 s at most, also while models load or train: nothing here may wait.
        return jsonify(status="UP", model_class="clickmask")

    @app.get("/")
    def index() -> Response:
        # Label Studio asks without saying what it accepts; browsers name HTML.
        if "text/html" in request.headers.get("Accept", ""):
            return Response(status_page.render(backend, figures.latest()), mimetype="text/html")
        return health()

    @app.get("/pictures/<version>.png")
    def picture(version: str) -> Response:
        path = picture_of(backend.settings.home, version).absolute()
        return send_from_directory(path.parent, path.name)

    @app.get("/ready")
    def ready() -> tuple[Response, int]:
        status = monitoring.status(backend)
        return jsonify(status), 200 if status["ready"] else 503

    @app.get("/metrics")
    def metrics() -> Response:
        monitoring.measure(backend, figures.latest())
        return Response(backend.metrics.exposition(), mimetype="text/plain; version=0.0.4")


def _errors(app: Flask, backend: Backend) -> None:
    """Every error leaves as JSON, none with a traceback; clicks that nobody can read count as refused."""

    def unread(text: str) -> None:
        if request.path == "/predict":
            backend.metrics.refuse("request", g.get("task"), text)

    @app.errorhandler(ClickmaskError)
    def foreseen(error: ClickmaskError) -> tuple[Response, int]:
        status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
        logger.log(logging.WARNING if status < 500 or status == 503 else logging.ERROR, "%s", error)
        answer = jsonify(error=str(error))
        if isinstance(error, RequestError):
            unread(str(error))
            answer = jsonify(error=str(error), field=error.path)
        if status == 503:
            answer.headers["Retry-After"] = str(RETRY_S)
        return answer, status

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> tuple[Response, int]:
        if error.code == 413:  # a body with too many masks
            logger.warning("%s", error.description)
            unread(str(error.description))
        return jsonify(error=error.description), error.code or 500

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> tuple[Response, int]:
        logger.error("request %s failed", g.get("id", "-"), exc_info=error)
        return jsonify(error=f"internal error; the log tells more under request {g.get('id', '-')}"), 500


def _json() -> dict[str, Any]:
    """Return the body, a JSON object; RequestError for anything else."""
    return read_body(request.get_data())


def _first_task(body: dict[str, Any]) -> int | None:
    """Return the number of the task in a body that may be malformed; None where it has none."""
    task = next(iter(elements(body.get("tasks"))), None)
    number = task.get("id") if isinstance(task, dict) else None
    return number if isinstance(number, int) else None


def _account() -> tuple[str, str] | None:
    return account(request.headers.get("Authorization"))


def _unauthorized() -> Response:
    response = jsonify(error="wrong or missing credentials; see BASIC_AUTH_USER, CLICKMASK_WEBHOOK_SECRET")
    response.status_code = 401
    response.headers["WWW-Authenticate"] = 'Basic realm="clickmask"'
    return response
