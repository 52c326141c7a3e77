"""A project with something of everything: pulled, edited, in conflict, planned, announced."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.server.page.browser import PageClient
from towline.model import AssetPath
from towline.options import OnConflict
from towline_server.db.clock import database_now
from towline_server.projects.domain import Project
from towline_server.runs.domain import RunRequest
from towline_server.runs.project_schedules import ProjectSchedules
from towline_server.runs.schedules import Rhythm, ScheduleSpec, place
from towline_server.webhooks.deliveries import Deliveries
from towline_server.webhooks.service import EndpointSettings


def _json(value: str) -> bytes:
    return json.dumps({"field": value, value: [value]}).encode()


@dataclass(frozen=True)
class Texts:
    """What a project's people and files are called, and have in them."""

    folder: str = "rules"
    content: str = "x"
    webhook: str = "a webhook"

    @property
    def both(self) -> str:
        """What both sides change."""
        return f"{self.folder}/both.json"

    @property
    def here(self) -> str:
        """What is edited here alone."""
        return f"{self.folder}/here.json"

    @property
    def paths(self) -> tuple[str, ...]:
        """What the first commit has."""
        return (self.both, self.here, f"{self.folder}/theirs.txt")

    @property
    def news(self) -> dict[str, bytes]:
        """What the second commit has."""
        return {
            self.both: _json(f"{self.content} there"),
            self.here: _json("base"),
            f"{self.folder}/theirs.txt": f"{self.content}\n".encode(),
            f"{self.folder}/new.json": _json(self.content),
        }


@dataclass(frozen=True)
class Filled:
    """The ids for addresses, and those of every asset in conflict."""

    ids: Mapping[str, str]
    asset_ids: Sequence[str]


def fill(site: PageClient, project: Project, *texts: Texts) -> Filled:
    """Pull a project twice, with conflicts that are left. The repository's branch moves on."""
    tenant, services, every = site.tenant, site.services, texts or (Texts(),)
    tenant.repository.commit({path: _json("base") for each in every for path in each.paths})
    _pull(site, project)
    for each in every:
        tenant.edit(project, each.both, _json("ours"))
        tenant.edit(project, each.here, _json(each.content))
    news = {path: content for each in every for path, content in each.news.items()}
    tenant.repository.commit(news)
    run = _pull(site, project)
    plan = services.plans.make(project.id, RunRequest())
    with tenant.store(project).snapshot() as ours:
        found = [ours.at(AssetPath(each.both)) for each in every]
    asset_ids = [str(record.id) for record in found if record is not None]
    ids = {
        "project_id": str(project.id),
        "run_id": str(run),
        "plan_id": str(plan.id),
        "asset_id": asset_ids[0],
        "number": "2",
        "form": "preview",
        "connection_id": str(project.bound.connection_id),
        "identity_id": str(_person(site, every[0].webhook)),
        **_announced(site, project, every[0]),
    }
    return Filled(ids, asset_ids)


def _pull(site: PageClient, project: Project) -> Any:
    skipping = RunRequest(on_conflict=OnConflict.SKIP)
    run = site.services.runs.request(project.id, skipping)
    site.runner.work()
    return run.id


def _person(site: PageClient, name: str) -> Any:
    with site.services.database.writing() as session:
        made = site.services.identities(session).create_service_account(
            tenant_id=site.tenant.tenant_id, name=name
        )
    return made.id


def _announced(site: PageClient, project: Project, texts: Texts) -> dict[str, str]:
    services = site.services
    with services.database.writing() as session:
        wanted = EndpointSettings(
            url="https://receiver.example/", description=texts.webhook, project_id=project.id
        )
        endpoint, _ = services.webhooks(session).create(project.tenant_id, wanted)
        delivery = Deliveries(session, endpoint.id).ping()
        spec = ScheduleSpec(project_id=project.id, rhythm=Rhythm(cron="0 4 * * *"))
        schedule = ProjectSchedules(session, project.id).create(spec)
        of_sync = ScheduleSpec(
            project_id=project.id, rhythm=Rhythm(every_seconds=60), sync_id=uuid4()
        )
        place(session, uuid4(), of_sync, database_now(session))
    return {
        "webhook_id": str(endpoint.id),
        "delivery_id": str(delivery.id),
        "schedule_id": str(schedule.id),
    }
