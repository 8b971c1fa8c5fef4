"""Nothing of a project is left in a real Redis, and nothing of others goes."""

import json
import re

from backend.jobs.policy import TASK
from backend.jobs.project_removal import forget
from backend.label_studio.task_states import TaskStates
from backend.redis_store import CLICKS, HABITS, LAST_OBJECTS, OBJECT_CLICKS, QUALITY
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome, outcomes, remember
from fine_tune.project.scheduler import Policy, Scheduler
from tests.backend.redis_server import RedisServer


def test_nothing_is_left(redis_server: RedisServer) -> None:
    client = redis_server.client()
    scheduler, ledger = Scheduler(client, Policy(task=TASK)), Ledger(client)
    for project in (3, 4):
        annotation = {"id": project, "task": 9, "updated_at": "2026", "result_count": 1}
        ledger.record("ANNOTATION_CREATED", {"annotation": annotation, "project": {"id": project}})
        ledger.meet(project)
        scheduler.request(project, "test")
        scheduler.mark_end(project, failed=True)
        remember(client, project, Outcome("skipped", "test"))
        TaskStates(client, project).keep({9: "a"})
        TaskStates(client, project).keep_project_state("b")
        client.hset(f"{QUALITY}{project}", "published", "{}")
        client.hset(f"{OBJECT_CLICKS}{project}", "1", "{}")
        client.xadd(f"{CLICKS}{project}", {"e": "x"})
        client.hset(f"{HABITS}{project}", "ann", "{}")
        for prefix in (HABITS, LAST_OBJECTS):
            client.set(prefix + json.dumps([project, 9, "ann", "image", None]), "{}")
    forget(client, 3)
    assert ledger.projects() == [4]
    assert scheduler.waiting(3) is None and scheduler.waiting(4) is not None
    assert outcomes(client, 3) == [] and len(outcomes(client, 4)) == 1
    assert not [key for key in client.keys("clickmask:*") if re.search(rb"\b3\b", key)]
    assert len([key for key in client.keys("clickmask:*") if b"[4, " in key]) == 2
    assert TaskStates(client, 4).project_state() == "b"
    forget(client, 3)  # a second time does no harm
