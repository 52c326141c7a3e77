"""What can be pulled from each provider: the kinds of asset in a caller's projects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from towline.kinds import Kind
from towline_server.auth.roles import Principal
from towline_server.db.statements import batches
from towline_server.projects.asset_tables import AssetRow
from towline_server.projects.connection_tables import ConnectionRow
from towline_server.projects.domain import Project, Provider
from towline_server.projects.service import Projects
from towline_server.services import Services

from .domain import Definition, LoadMode
from .forms import HOSTS, connection_schema
from .responses import Catalog, Resource
from .rows import EVENT_TABLE

KnownProvider: TypeAlias = Literal[
    # Git hosts.
    "git", "github", "gitlab", "bitbucket", "gitea", "azure_devops",
    # Sources of files.
    "http_api", "s3", "postgres", "sftp",
    # What clients of the API may ask for, and this engine does not pull from.
    "shopify", "flexiroam", "starlink", "google_drive", "msft_sharepoint",
    "klaviyo", "amazon_sp", "salesforce", "netsuite", "sqlserver", "mlflow",
    "gmail_inbox", "dropbox", "rydership", "gorgias", "redo", "bullhorn",
]  # fmt: skip


_TABLE_SCHEMA = {
    "type": "object",
    "properties": {
        "loadMode": {
            "title": "Load mode",
            "description": (
                "What its table in tableBindings contains: the assets as they are, or each change"
                " that a pull makes, with the states before and after it."
            ),
            "enum": [str(mode) for mode in LoadMode],
            "default": str(LoadMode.MIRROR),
        },
        "logicalTableName": {
            "title": "Table name",
            "description": "A name of your own; by default the kind's.",
            "type": "string",
        },
    },
}
"""What may be set of a kind, as the JSON Schema of its entry in ``tableBindings``."""

_SIZES: tuple[tuple[int, Literal["xs", "s", "m", "l"]], ...] = (
    (10, "xs"),
    (100, "s"),
    (1_000, "m"),
    (10_000, "l"),
)
"""The most assets of each class but the last."""


def catalog(services: Services, caller: Principal, provider: Provider) -> Catalog:
    """Return the catalog of a provider, as far as the caller sees projects behind one."""
    with services.database.reading() as session:
        projects = list(_behind(session, caller, provider))
        counts = _counts(session, [project.id for project in projects])
    kinds = {kind.name: kind for project in projects for kind in project.kinds.kinds}
    resources = [_resource(services, kinds[name], counts[name]) for name in sorted(kinds)]
    return Catalog(
        provider=provider,
        name=str(provider),
        display_name=HOSTS[provider].name,
        config_schema=connection_schema(provider, services.settings.remote_schemes),
        defaults=_defaults(),
        available_resources=sorted(kinds),
        default_resources=sorted(kinds),
        dynamic_resources=True,
        resources=resources,
    )


def _behind(session: Session, caller: Principal, provider: Provider) -> Iterator[Project]:
    mine = select(ConnectionRow.id).where(
        ConnectionRow.tenant_id == caller.tenant_id, ConnectionRow.provider == str(provider)
    )
    connections = set(session.scalars(mine))
    for project in Projects(session).visible_to(caller):
        if project.binding is not None and project.binding.connection_id in connections:
            yield project


def _counts(session: Session, project_ids: list[UUID]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for some in batches(project_ids):
        each = select(AssetRow.kind, func.count()).where(
            AssetRow.project_id.in_(some), AssetRow.path.is_not(None)
        )
        for kind, number in session.execute(each.group_by(AssetRow.kind)):
            counts[kind] += number
    return counts


def _resource(services: Services, kind: Kind, count: int) -> Resource:
    embedded = services.settings.is_embedded
    return Resource(
        entity_key=kind.name,
        display_name=kind.name.replace("_", " ").replace("-", " ").capitalize(),
        description=f"Files that match {' or '.join(kind.globs)}.",
        config_schema=_TABLE_SCHEMA,
        cursor_field=EVENT_TABLE["cursor_field"],
        default_selected=True,
        depends_on=[],
        load_mode=LoadMode.MIRROR,
        size_class=next((size for most, size in _SIZES if count <= most), "xl"),
        slicing={},
        storage_description=(
            "The project's assets, with their bytes, in the server's database; and what pulls"
            " change of them, where a table of a sync appends events."
        ),
        storage_kind="sqlite" if embedded else "postgres",
    )


def _defaults() -> dict[str, Any]:
    plain = Definition(name="")
    return {
        "executionBackend": str(plain.execution_backend),
        "executionMode": str(plain.execution_mode),
        "triggerMode": str(plain.trigger_mode),
        "status": str(plain.status),
        "runMode": "incremental",
        "loadMode": str(LoadMode.MIRROR),
    }
