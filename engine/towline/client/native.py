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
    """Create a project; the caller must administer the tenant."""
    return Request(method="POST", path="/projects", body=body, result=models.Project)


def preview_project(body: models.PreviewBody) -> Request[models.Preview]:
    """Preview which files would be assets; the caller must administer the tenant.

    The branch is fetched, and nothing is created. Assets beyond a pull's limit are listed too.
    """
    return Request(method="POST", path="/projects/preview", body=body, result=models.Preview)


def get_project(project_id: UUID | str) -> Request[models.Project]:
    """A project."""
    return Request(method="GET", path=f"/projects/{part(project_id)}", result=models.Project)


def change_project(project_id: UUID | str, body: models.ProjectChange) -> Request[models.Project]:
    """Change a project. A run in progress starts over, or ends as stale."""
    return Request(
        method="PATCH", path=f"/projects/{part(project_id)}", body=body, result=models.Project
    )


def delete_project(project_id: UUID | str) -> Request[None]:
    """Delete a project and everything in it."""
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
    """Create a connection. A credential in the URL is removed from it and stored."""
    return Request(method="POST", path="/connections", body=body, result=models.Connection)


def get_connection(connection_id: UUID | str) -> Request[models.Connection]:
    """A connection."""
    return Request(
        method="GET", path=f"/connections/{part(connection_id)}", result=models.Connection
    )


def change_connection(
    connection_id: UUID | str, body: models.ConnectionChange
) -> Request[models.Connection]:
    """Change a connection. A new scheme, host or port deletes its stored credential."""
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
    """Rename an asset. It keeps its id if it was ever pulled, else the new path gives it one."""
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
    """The changes that pulls made to assets of kinds with `append_event`."""
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
    """Fetch, and plan a pull. Nothing in the project changes."""
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
    """The conflicts with the last fetched revision."""
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
    """Save a resolution for the conflict of one asset, replacing any earlier one."""
    return Request(
        method="PUT",
        path=f"/projects/{part(project_id)}/conflicts/{part(asset_id)}/resolution",
        body=body,
        result=models.Resolution,
    )


def unresolve_conflict(project_id: UUID | str, asset_id: str) -> Request[None]:
    """Delete the saved resolution of one asset, if there is one; its conflict is open again."""
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
    """Undo a pull. Later edits are not overwritten, and the undo is added to the log."""
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
    """The log of a run: at most 201 lines, without the middle.

    It is empty if an external executor executes the run.
    """
    return Request(method="GET", path=f"/runs/{part(run_id)}/log", result=list[models.LogLine])


def list_attempts(run_id: UUID | str) -> Request[list[models.RunSummary]]:
    """Every attempt of a run, oldest first."""
    return Request(
        method="GET", path=f"/runs/{part(run_id)}/attempts", result=list[models.RunSummary]
    )


def cancel_run(run_id: UUID | str, body: models.CancelBody | None = None) -> Request[models.Run]:
    """Cancel a run. It has no effect after the run's commit point."""
    return Request(method="POST", path=f"/runs/{part(run_id)}/cancel", body=body, result=models.Run)


def retry_run(run_id: UUID | str, body: models.RetryBody | None = None) -> Request[models.Run]:
    """Retry a run that has ended."""
    return Request(method="POST", path=f"/runs/{part(run_id)}/retry", body=body, result=models.Run)


def follow_run(run_id: UUID | str) -> Request[None]:
    """Follow a run to its end."""
    return Request(method="GET", path=f"/runs/{part(run_id)}/events")


def list_schedules(
    project_id: UUID | str, *, limit: int | None = None, offset: int | None = None
) -> Request[models.SchedulePage]:
    """The schedules of a project, next due first, including those of its syncs."""
    return Request(
        method="GET",
        path=f"/projects/{part(project_id)}/schedules",
        params={"limit": limit, "offset": offset},
        result=models.SchedulePage,
    )


def create_schedule(project_id: UUID | str, body: models.ScheduleBody) -> Request[models.Schedule]:
    """Create a schedule. Times missed while no server was up are made up for by one run."""
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
    """Change a schedule; ``enabled`` false pauses it. A sync's cannot be changed here."""
    return Request(
        method="PATCH",
        path=f"/projects/{part(project_id)}/schedules/{part(schedule_id)}",
        body=body,
        result=models.Schedule,
    )


def delete_schedule(project_id: UUID | str, schedule_id: UUID | str) -> Request[None]:
    """Delete a schedule; its runs stay. A sync's schedule cannot be deleted here."""
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
    """Create a webhook. Its secret is shown only in this answer."""
    return Request(method="POST", path="/webhooks", body=body, result=models.WebhookWithSecret)


def get_webhook(webhook_id: UUID | str) -> Request[models.Webhook]:
    """A webhook."""
    return Request(method="GET", path=f"/webhooks/{part(webhook_id)}", result=models.Webhook)


def change_webhook(webhook_id: UUID | str, body: models.WebhookChange) -> Request[models.Webhook]:
    """Change a webhook.

    When it is enabled again, pending deliveries are sent. A null ``event_types`` or ``project_id``
    means all; any other null is ignored.
    """
    return Request(
        method="PATCH", path=f"/webhooks/{part(webhook_id)}", body=body, result=models.Webhook
    )


def delete_webhook(webhook_id: UUID | str) -> Request[None]:
    """Delete a webhook and its pending deliveries."""
    return Request(method="DELETE", path=f"/webhooks/{part(webhook_id)}")


def rotate_secret(webhook_id: UUID | str) -> Request[models.WebhookWithSecret]:
    """Replace a webhook's secret.

    The new one is shown only in this answer. For 24 hours, messages are signed with the old secret
    too.
    """
    return Request(
        method="POST", path=f"/webhooks/{part(webhook_id)}/rotate", result=models.WebhookWithSecret
    )


def ping_webhook(webhook_id: UUID | str) -> Request[models.Delivery]:
    """Send a ``ping`` to a webhook, once; its delivery shows whether it was received."""
    return Request(method="POST", path=f"/webhooks/{part(webhook_id)}/ping", result=models.Delivery)


def list_deliveries(
    webhook_id: UUID | str,
    *,
    state: Sequence[models.DeliveryState] | None = None,
    limit: int | None = None,
    offset: int | None = None,
) -> Request[models.DeliveryPage]:
    """The deliveries of a webhook, sent and pending, newest first."""
    return Request(
        method="GET",
        path=f"/webhooks/{part(webhook_id)}/deliveries",
        params={"state": state, "limit": limit, "offset": offset},
        result=models.DeliveryPage,
    )


def retry_delivery(webhook_id: UUID | str, delivery_id: UUID | str) -> Request[models.Delivery]:
    """Send a message again at once, with the same ``webhook-id``."""
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
    """The current input for planning, for when a plan has become stale."""
    return Request(method="POST", path="/work/renew", body=body, result=models.Work)


def complete_work(body: models.CompleteBody) -> Request[models.Run]:
    """End a run with its plan, which towline applies, or with the reason why there is none.

    If the plan has become stale (409 ``stale_plan``), see ``renew``.
    """
    return Request(method="POST", path="/work/complete", body=body, result=models.Run)


def list_tenants(
    *, limit: int | None = None, offset: int | None = None
) -> Request[models.TenantPage]:
    """The tenants, by name: all for the operator's token, else the caller's own."""
    return Request(
        method="GET",
        path="/admin/tenants",
        params={"limit": limit, "offset": offset},
        result=models.TenantPage,
    )


def create_tenant(body: models.TenantBody) -> Request[models.Tenant]:
    """Create a tenant; needs the operator's token."""
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
    """Create a user."""
    return Request(
        method="POST",
        path=f"/admin/tenants/{part(tenant_id)}/users",
        body=body,
        result=models.Identity,
    )


def create_service_account(
    tenant_id: UUID | str, body: models.ServiceAccountBody
) -> Request[models.Identity]:
    """Create a service account."""
    return Request(
        method="POST",
        path=f"/admin/tenants/{part(tenant_id)}/service-accounts",
        body=body,
        result=models.Identity,
    )


def create_key(tenant_id: UUID | str, body: models.KeyBody) -> Request[models.Key]:
    """Create an API key. It is shown only in this answer."""
    return Request(
        method="POST", path=f"/admin/tenants/{part(tenant_id)}/keys", body=body, result=models.Key
    )


def get_identity(identity_id: UUID | str) -> Request[models.Identity]:
    """A user, a service account or an API key."""
    return Request(
        method="GET", path=f"/admin/identities/{part(identity_id)}", result=models.Identity
    )


def disable_identity(identity_id: UUID | str) -> Request[models.Identity]:
    """Disable an identity. The last administrator of a tenant cannot be disabled."""
    return Request(
        method="POST", path=f"/admin/identities/{part(identity_id)}/disable", result=models.Identity
    )


def enable_identity(identity_id: UUID | str) -> Request[models.Identity]:
    """Enable an identity again."""
    return Request(
        method="POST", path=f"/admin/identities/{part(identity_id)}/enable", result=models.Identity
    )


def set_password(identity_id: UUID | str, body: models.PasswordBody) -> Request[None]:
    """Change the password of a user or a service account, and end their sessions."""
    return Request(method="PUT", path=f"/admin/identities/{part(identity_id)}/password", body=body)


def set_tenant_role(identity_id: UUID | str, body: models.RoleBody) -> Request[models.Identity]:
    """Set an identity's role on the whole tenant.

    The last administrator of a tenant must stay one.
    """
    return Request(
        method="PUT",
        path=f"/admin/identities/{part(identity_id)}/role",
        body=body,
        result=models.Identity,
    )


def remove_tenant_role(identity_id: UUID | str) -> Request[None]:
    """Remove an identity's role on the whole tenant, unless it is the last administrator."""
    return Request(method="DELETE", path=f"/admin/identities/{part(identity_id)}/role")


def grant_project_role(
    identity_id: UUID | str, project_id: UUID | str, body: models.RoleBody
) -> Request[models.Identity]:
    """Set an identity's role on one project of its tenant."""
    return Request(
        method="PUT",
        path=f"/admin/identities/{part(identity_id)}/projects/{part(project_id)}/role",
        body=body,
        result=models.Identity,
    )


def revoke_project_role(identity_id: UUID | str, project_id: UUID | str) -> Request[None]:
    """Remove an identity's role on one project."""
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
