# Generated from the OpenAPI document by `make client`; do not edit.
"""A function for each operation of the native API, which makes its request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from . import models
from .request import Request, part


def list_projects(
    *, path: str | None = None, limit: int | None = None, offset: int | None = None
) -> Request[models.ProjectPage]:
    """The projects that the caller has any role on, by path."""
    return Request(
        method="GET",
        path="/projects",
        params={"path": path, "limit": limit, "offset": offset},
        result=models.ProjectPage,
    )


def create_project(body: models.ProjectBody) -> Request[models.Project]:
    """Make a project; the caller must administer the tenant."""
    return Request(method="POST", path="/projects", body=body, result=models.Project)


def preview_project(body: models.PreviewBody) -> Request[models.Preview]:
    """What would be an asset of a project; the caller must administer the tenant.

    The branch is fetched, and nothing is made. More assets than a pull takes are listed too.
    """
    return Request(method="POST", path="/projects/preview", body=body, result=models.Preview)


def get_project(project_id: UUID | str) -> Request[models.Project]:
    """A project."""
    return Request(method="GET", path=f"/projects/{part(project_id)}", result=models.Project)


def change_project(project_id: UUID | str, body: models.ProjectChange) -> Request[models.Project]:
    """Change a project; a run of it that is under way starts over, or ends stale."""
    return Request(
        method="PATCH", path=f"/projects/{part(project_id)}", body=body, result=models.Project
    )


def delete_project(project_id: UUID | str) -> Request[None]:
    """Delete a project with everything that it has."""
    return Request(method="DELETE", path=f"/projects/{part(project_id)}")


def list_connections(
    *, limit: int | None = None, offset: int | None = None
) -> Request[models.ConnectionPage]:
    """The tenant's connections, oldest first; none for a caller without a role on the tenant."""
    return Request(
        method="GET",
        path="/connections",
        params={"limit": limit, "offset": offset},
        result=models.ConnectionPage,
    )


def create_connection(
    body: models.GitConnectionBody
    | models.HttpApiConnectionBody
    | models.S3ConnectionBody
    | models.PostgresConnectionBody
    | models.SftpConnectionBody,
) -> Request[models.Connection]:
    """Make a connection; a credential in the URL is taken off it and stored."""
    return Request(method="POST", path="/connections", body=body, result=models.Connection)


def get_connection(connection_id: UUID | str) -> Request[models.Connection]:
    """A connection."""
    return Request(
        method="GET", path=f"/connections/{part(connection_id)}", result=models.Connection
    )


def change_connection(
    connection_id: UUID | str, body: models.ConnectionChange
) -> Request[models.Connection]:
    """Change a connection. At another scheme, host or port its secrets are forgotten."""
    return Request(
        method="PATCH",
        path=f"/connections/{part(connection_id)}",
        body=body,
        result=models.Connection,
    )


def delete_connection(connection_id: UUID | str) -> Request[None]:
    """Delete a connection that no project is bound to."""
    return Request(method="DELETE", path=f"/connections/{part(connection_id)}")


def list_assets(
    project_id: UUID | str,
    *,
    kind: str | None = None,
    prefix: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
) -> Request[models.AssetPage]:
    """The assets of a project, by path."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/assets",
        params={"kind": kind, "prefix": prefix, "limit": limit, "offset": offset},
        result=models.AssetPage,
    )


def get_asset(project_id: UUID | str, asset_id: str) -> Request[models.Asset]:
    """An asset."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/assets/{part(asset_id)}",
        result=models.Asset,
    )


def delete_asset(
    project_id: UUID | str, asset_id: str, *, if_match: str | None = None
) -> Request[None]:
    """Delete an asset here; it stays in the repository."""
    return Request(
        method="DELETE",
        path=f"/projects/{part(project_id)}/assets/{part(asset_id)}",
        headers={"If-Match": if_match},
    )


def read_asset(
    project_id: UUID | str, asset_id: str, *, if_none_match: str | None = None
) -> Request[bytes]:
    """The bytes of an asset."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/assets/{part(asset_id)}/content",
        headers={"If-None-Match": if_none_match},
        result=bytes,
    )


def read_path(
    project_id: UUID | str, path: str, *, if_none_match: str | None = None
) -> Request[bytes]:
    """The bytes of the asset at a path."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/content/{part(path, safe='/')}",
        headers={"If-None-Match": if_none_match},
        result=bytes,
    )


def put_asset(
    project_id: UUID | str,
    path: str,
    content: bytes,
    *,
    executable: bool | None = None,
    if_match: str | None = None,
    if_none_match: str | None = None,
) -> Request[models.Asset]:
    """Write the asset at a path, or a new one."""
    return Request(
        method="PUT",
        path=f"/projects/{part(project_id)}/content/{part(path, safe='/')}",
        content=content,
        params={"executable": executable},
        headers={"If-Match": if_match, "If-None-Match": if_none_match},
        result=models.Asset,
    )


def move_asset(
    project_id: UUID | str, asset_id: str, body: models.MoveBody, *, if_match: str | None = None
) -> Request[models.Asset]:
    """Rename an asset. It keeps its id if it was ever pulled, else it has its new path's."""
    return Request(
        method="POST",
        path=f"/projects/{part(project_id)}/assets/{part(asset_id)}/move",
        body=body,
        headers={"If-Match": if_match},
        result=models.Asset,
    )


def list_asset_events(
    project_id: UUID | str,
    *,
    cursor: int | None = None,
    limit: int | None = None,
    kind: str | None = None,
    path: str | None = None,
    since: datetime | None = None,
) -> Request[models.AssetEventPage]:
    """What pulls changed of the kinds whose changes a sync appends (`append_event`)."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/events",
        params={"cursor": cursor, "limit": limit, "kind": kind, "path": path, "since": since},
        result=models.AssetEventPage,
    )


def read_asset_event(project_id: UUID | str, sequence: int, side: str) -> Request[bytes]:
    """The bytes of an asset before a change, or after it."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/events/{part(sequence)}/{part(side)}",
        result=bytes,
    )


def list_plans(
    project_id: UUID | str, *, limit: int | None = None, offset: int | None = None
) -> Request[models.WaitingPlanPage]:
    """The stored plans, newest first."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/plans",
        params={"limit": limit, "offset": offset},
        result=models.WaitingPlanPage,
    )


def make_plan(project_id: UUID | str, body: models.PlanBody) -> Request[models.Plan]:
    """Fetch, and plan a pull; nothing of the project changes."""
    return Request(
        method="POST", path=f"/projects/{part(project_id)}/plans", body=body, result=models.Plan
    )


def get_plan(project_id: UUID | str, plan_id: UUID | str) -> Request[models.Plan]:
    """A stored plan."""
    return Request(
        method="GET", path=f"/projects/{part(project_id)}/plans/{part(plan_id)}", result=models.Plan
    )


def discard_plan(project_id: UUID | str, plan_id: UUID | str) -> Request[None]:
    """Delete a plan."""
    return Request(method="DELETE", path=f"/projects/{part(project_id)}/plans/{part(plan_id)}")


def apply_plan(project_id: UUID | str, plan_id: UUID | str) -> Request[models.Applied]:
    """Apply a plan, all of it or nothing; it pulls the revision that it names."""
    return Request(
        method="POST",
        path=f"/projects/{part(project_id)}/plans/{part(plan_id)}/apply",
        result=models.Applied,
    )


def get_status(project_id: UUID | str, *, fetch: bool | None = None) -> Request[models.Status]:
    """The status of every asset, against what was fetched last."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/status",
        params={"fetch": fetch},
        result=models.Status,
    )


def list_conflicts(
    project_id: UUID | str, *, fetch: bool | None = None
) -> Request[models.Conflicts]:
    """What pulling the revision that was fetched last would leave in conflict."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/conflicts",
        params={"fetch": fetch},
        result=models.Conflicts,
    )


def explain_conflict(project_id: UUID | str, asset_id: str) -> Request[models.ConflictView]:
    """The conflict that an asset is party to, field by field."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/conflicts/{part(asset_id)}",
        result=models.ConflictView,
    )


def explain_planned_conflict(
    project_id: UUID | str, plan_id: UUID | str, asset_id: str
) -> Request[models.ConflictView]:
    """The conflict of a plan that an asset is party to, field by field."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/plans/{part(plan_id)}/conflicts/{part(asset_id)}",
        result=models.ConflictView,
    )


def resolve_conflict(
    project_id: UUID | str, asset_id: str, body: models.ResolutionBody
) -> Request[models.Resolution]:
    """Save how the conflict of one asset is settled, instead of what was saved before."""
    return Request(
        method="PUT",
        path=f"/projects/{part(project_id)}/conflicts/{part(asset_id)}/resolution",
        body=body,
        result=models.Resolution,
    )


def unresolve_conflict(project_id: UUID | str, asset_id: str) -> Request[None]:
    """Clear what was saved for one asset, if anything was; its conflict is open again."""
    return Request(
        method="DELETE", path=f"/projects/{part(project_id)}/conflicts/{part(asset_id)}/resolution"
    )


def list_pulls(
    project_id: UUID | str, *, limit: int | None = None, offset: int | None = None
) -> Request[models.PullSummaryPage]:
    """The project's log, newest first."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/pulls",
        params={"limit": limit, "offset": offset},
        result=models.PullSummaryPage,
    )


def get_pull(project_id: UUID | str, number: int) -> Request[models.Pull]:
    """One pull, and what it did."""
    return Request(
        method="GET", path=f"/projects/{part(project_id)}/pulls/{part(number)}", result=models.Pull
    )


def undo(project_id: UUID | str, body: models.UndoBody | None = None) -> Request[models.Applied]:
    """Take back a pull. It overwrites no later edit, and is a pull of the log itself."""
    return Request(
        method="POST", path=f"/projects/{part(project_id)}/undo", body=body, result=models.Applied
    )


def request_run(project_id: UUID | str, body: models.RunBody) -> Request[models.Run]:
    """Request a run; it waits until no other one works on the project."""
    return Request(
        method="POST", path=f"/projects/{part(project_id)}/runs", body=body, result=models.Run
    )


def list_project_runs(
    project_id: UUID | str,
    *,
    state: Sequence[models.RunState] | None = None,
    limit: int | None = None,
    offset: int | None = None,
) -> Request[models.RunSummaryPage]:
    """The runs of a project, newest first."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/runs",
        params={"state": state, "limit": limit, "offset": offset},
        result=models.RunSummaryPage,
    )


def list_runs(
    *,
    state: Sequence[models.RunState] | None = None,
    limit: int | None = None,
    offset: int | None = None,
) -> Request[models.RunSummaryPage]:
    """The runs of every project that the caller has any role on, newest first."""
    return Request(
        method="GET",
        path="/runs",
        params={"state": state, "limit": limit, "offset": offset},
        result=models.RunSummaryPage,
    )


def get_run(run_id: UUID | str) -> Request[models.Run]:
    """A run."""
    return Request(method="GET", path=f"/runs/{part(run_id)}", result=models.Run)


def read_run_log(run_id: UUID | str) -> Request[list[models.LogLine]]:
    """What has happened while towline executed the run: at most 201 lines, the middle left out. It is
    empty where an external executor does.
    """
    return Request(method="GET", path=f"/runs/{part(run_id)}/log", result=list[models.LogLine])


def list_attempts(run_id: UUID | str) -> Request[list[models.RunSummary]]:
    """Every attempt at what a run tries, the first one first."""
    return Request(
        method="GET", path=f"/runs/{part(run_id)}/attempts", result=list[models.RunSummary]
    )


def cancel_run(run_id: UUID | str, body: models.CancelBody | None = None) -> Request[models.Run]:
    """Ask a run to stop before its commit point; one that has ended stays as it is."""
    return Request(method="POST", path=f"/runs/{part(run_id)}/cancel", body=body, result=models.Run)


def retry_run(run_id: UUID | str, body: models.RetryBody | None = None) -> Request[models.Run]:
    """A new attempt at what a run that has ended tried."""
    return Request(method="POST", path=f"/runs/{part(run_id)}/retry", body=body, result=models.Run)


def follow_run(run_id: UUID | str) -> Request[None]:
    """Follow a run to its end."""
    return Request(method="GET", path=f"/runs/{part(run_id)}/events")


def list_schedules(
    project_id: UUID | str, *, limit: int | None = None, offset: int | None = None
) -> Request[models.SchedulePage]:
    """The schedules of a project, the next first; those of its syncs too."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/schedules",
        params={"limit": limit, "offset": offset},
        result=models.SchedulePage,
    )


def create_schedule(project_id: UUID | str, body: models.ScheduleBody) -> Request[models.Schedule]:
    """Make a schedule. What it missed while no server ran is one run, as soon as one does."""
    return Request(
        method="POST",
        path=f"/projects/{part(project_id)}/schedules",
        body=body,
        result=models.Schedule,
    )


def get_schedule(project_id: UUID | str, schedule_id: UUID | str) -> Request[models.Schedule]:
    """A schedule."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/schedules/{part(schedule_id)}",
        result=models.Schedule,
    )


def change_schedule(
    project_id: UUID | str, schedule_id: UUID | str, body: models.ScheduleChange
) -> Request[models.Schedule]:
    """Change a schedule; with ``enabled`` false it is paused. One of a sync is refused."""
    return Request(
        method="PATCH",
        path=f"/projects/{part(project_id)}/schedules/{part(schedule_id)}",
        body=body,
        result=models.Schedule,
    )


def delete_schedule(project_id: UUID | str, schedule_id: UUID | str) -> Request[None]:
    """Delete a schedule; the runs that it requested stay. One of a sync is refused."""
    return Request(
        method="DELETE", path=f"/projects/{part(project_id)}/schedules/{part(schedule_id)}"
    )


def list_webhooks(
    *, limit: int | None = None, offset: int | None = None
) -> Request[models.WebhookPage]:
    """The tenant's webhooks, oldest first."""
    return Request(
        method="GET",
        path="/webhooks",
        params={"limit": limit, "offset": offset},
        result=models.WebhookPage,
    )


def create_webhook(body: models.WebhookBody) -> Request[models.WebhookWithSecret]:
    """Make a webhook; its secret is shown in this answer alone."""
    return Request(method="POST", path="/webhooks", body=body, result=models.WebhookWithSecret)


def get_webhook(webhook_id: UUID | str) -> Request[models.Webhook]:
    """A webhook."""
    return Request(method="GET", path=f"/webhooks/{part(webhook_id)}", result=models.Webhook)


def change_webhook(webhook_id: UUID | str, body: models.WebhookChange) -> Request[models.Webhook]:
    """Change a webhook.

    Enabled again, it is sent what waits for it. A null ``event_types`` or ``project_id`` means
    all; another null is as if left out.
    """
    return Request(
        method="PATCH", path=f"/webhooks/{part(webhook_id)}", body=body, result=models.Webhook
    )


def delete_webhook(webhook_id: UUID | str) -> Request[None]:
    """Delete a webhook with all that waits for it."""
    return Request(method="DELETE", path=f"/webhooks/{part(webhook_id)}")


def rotate_secret(webhook_id: UUID | str) -> Request[models.WebhookWithSecret]:
    """Give a webhook a new secret, shown in this answer alone.

    For 24 hours its messages are signed with the old one too.
    """
    return Request(
        method="POST", path=f"/webhooks/{part(webhook_id)}/rotate", result=models.WebhookWithSecret
    )


def ping_webhook(webhook_id: UUID | str) -> Request[models.Delivery]:
    """Send a webhook a ``ping``, once; its delivery shows whether it was received."""
    return Request(method="POST", path=f"/webhooks/{part(webhook_id)}/ping", result=models.Delivery)


def list_deliveries(
    webhook_id: UUID | str,
    *,
    state: Sequence[models.DeliveryState] | None = None,
    limit: int | None = None,
    offset: int | None = None,
) -> Request[models.DeliveryPage]:
    """What was and will be sent to a webhook, newest first."""
    return Request(
        method="GET",
        path=f"/webhooks/{part(webhook_id)}/deliveries",
        params={"state": state, "limit": limit, "offset": offset},
        result=models.DeliveryPage,
    )


def retry_delivery(webhook_id: UUID | str, delivery_id: UUID | str) -> Request[models.Delivery]:
    """Send a message at once, whatever became of it, under the ``webhook-id`` that it has."""
    return Request(
        method="POST",
        path=f"/webhooks/{part(webhook_id)}/deliveries/{part(delivery_id)}/retry",
        result=models.Delivery,
    )


def claim_work(body: models.ClaimBody) -> Request[models.Claim | None]:
    """Take the oldest run that waits for an external executor."""
    return Request(method="POST", path="/work/claim", body=body, result=models.Claim | None)


def heartbeat(body: models.HeartbeatBody) -> Request[models.Lease]:
    """Renew a lease, and report the progress of the run."""
    return Request(method="POST", path="/work/heartbeat", body=body, result=models.Lease)


def renew_work(body: models.HeldBody) -> Request[models.Work]:
    """What planning needs as it is now: for when a plan went stale."""
    return Request(method="POST", path="/work/renew", body=body, result=models.Work)


def complete_work(body: models.CompleteBody) -> Request[models.Run]:
    """End a run: with its plan, which is applied here, or with why there is none.

    A plan that went stale (409 ``stale_plan``) may be made again, see ``renew``.
    """
    return Request(method="POST", path="/work/complete", body=body, result=models.Run)


def list_tenants(
    *, limit: int | None = None, offset: int | None = None
) -> Request[models.TenantPage]:
    """Every tenant, by name, for the operator's token; for others the one that they administer."""
    return Request(
        method="GET",
        path="/admin/tenants",
        params={"limit": limit, "offset": offset},
        result=models.TenantPage,
    )


def create_tenant(body: models.TenantBody) -> Request[models.Tenant]:
    """Make a tenant, with the operator's token."""
    return Request(method="POST", path="/admin/tenants", body=body, result=models.Tenant)


def get_tenant(tenant_id: UUID | str) -> Request[models.Tenant]:
    """A tenant."""
    return Request(method="GET", path=f"/admin/tenants/{part(tenant_id)}", result=models.Tenant)


def list_identities(
    tenant_id: UUID | str, *, limit: int | None = None, offset: int | None = None
) -> Request[models.IdentityPage]:
    """The users, service accounts and API keys of a tenant, oldest first."""
    return Request(
        method="GET",
        path=f"/admin/tenants/{part(tenant_id)}/identities",
        params={"limit": limit, "offset": offset},
        result=models.IdentityPage,
    )


def create_user(tenant_id: UUID | str, body: models.UserBody) -> Request[models.Identity]:
    """Make a user."""
    return Request(
        method="POST",
        path=f"/admin/tenants/{part(tenant_id)}/users",
        body=body,
        result=models.Identity,
    )


def create_service_account(
    tenant_id: UUID | str, body: models.ServiceAccountBody
) -> Request[models.Identity]:
    """Make a service account."""
    return Request(
        method="POST",
        path=f"/admin/tenants/{part(tenant_id)}/service-accounts",
        body=body,
        result=models.Identity,
    )


def create_key(tenant_id: UUID | str, body: models.KeyBody) -> Request[models.Key]:
    """Make an API key, and show it this once."""
    return Request(
        method="POST", path=f"/admin/tenants/{part(tenant_id)}/keys", body=body, result=models.Key
    )


def get_identity(identity_id: UUID | str) -> Request[models.Identity]:
    """A user, a service account or an API key."""
    return Request(
        method="GET", path=f"/admin/identities/{part(identity_id)}", result=models.Identity
    )


def disable_identity(identity_id: UUID | str) -> Request[models.Identity]:
    """Refuse an identity from now on; not the last one that administers its tenant."""
    return Request(
        method="POST", path=f"/admin/identities/{part(identity_id)}/disable", result=models.Identity
    )


def enable_identity(identity_id: UUID | str) -> Request[models.Identity]:
    """Take an identity's refusal back."""
    return Request(
        method="POST", path=f"/admin/identities/{part(identity_id)}/enable", result=models.Identity
    )


def set_password(identity_id: UUID | str, body: models.PasswordBody) -> Request[None]:
    """Give a user or a service account another password, and end their sessions."""
    return Request(method="PUT", path=f"/admin/identities/{part(identity_id)}/password", body=body)


def set_tenant_role(identity_id: UUID | str, body: models.RoleBody) -> Request[models.Identity]:
    """Give an identity a role on the whole tenant, instead of the one it had.

    The last one that administers the tenant stays its administrator.
    """
    return Request(
        method="PUT",
        path=f"/admin/identities/{part(identity_id)}/role",
        body=body,
        result=models.Identity,
    )


def remove_tenant_role(identity_id: UUID | str) -> Request[None]:
    """Take an identity's role on the whole tenant away; not that of its last administrator."""
    return Request(method="DELETE", path=f"/admin/identities/{part(identity_id)}/role")


def grant_project_role(
    identity_id: UUID | str, project_id: UUID | str, body: models.RoleBody
) -> Request[models.Identity]:
    """Give an identity a role on one project of its tenant, instead of the one it had there."""
    return Request(
        method="PUT",
        path=f"/admin/identities/{part(identity_id)}/projects/{part(project_id)}/role",
        body=body,
        result=models.Identity,
    )


def revoke_project_role(identity_id: UUID | str, project_id: UUID | str) -> Request[None]:
    """Take an identity's role on one project away."""
    return Request(
        method="DELETE",
        path=f"/admin/identities/{part(identity_id)}/projects/{part(project_id)}/role",
    )


def read_audit_log(
    *,
    tenant_id: UUID | str | None = None,
    since: datetime | None = None,
    actor: UUID | str | None = None,
    action: models.Action | None = None,
    subject: str | None = None,
    project_id: UUID | str | None = None,
    order: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> Request[models.AuditPage]:
    """The audit log, newest first; the operator's token reads that of every tenant."""
    return Request(
        method="GET",
        path="/admin/audit",
        params={
            "tenant_id": tenant_id,
            "since": since,
            "actor": actor,
            "action": action,
            "subject": subject,
            "project_id": project_id,
            "order": order,
            "after": after,
            "limit": limit,
        },
        result=models.AuditPage,
    )
