# Generated from the OpenAPI document by `make client`; do not edit.
"""What the API takes and answers; what a client does not know of it is left out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True, hide_input_in_errors=True)


class _Page(_Model):
    total: int
    limit: int
    offset: int
    has_next: bool


Action: TypeAlias = (
    Literal[
        "tenant.created",
        "user.created",
        "service_account.created",
        "api_key.created",
        "identity.disabled",
        "identity.enabled",
        "identity.password_changed",
        "identity.role_changed",
        "session.begun",
        "session.refused",
        "session.ended",
        "connection.created",
        "connection.changed",
        "connection.deleted",
        "secrets.resealed",
        "project.created",
        "project.changed",
        "project.bound",
        "project.unbound",
        "project.deleted",
        "asset.written",
        "asset.moved",
        "asset.deleted",
        "conflict.resolutions_changed",
        "plan.stored",
        "plan.applied",
        "plan.discarded",
        "pull.undone",
        "run.requested",
        "run.cancelled",
        "run.retried",
        "run.completed",
        "schedule.created",
        "schedule.changed",
        "schedule.deleted",
        "sync.created",
        "sync.changed",
        "sync.deleted",
        "webhook.created",
        "webhook.changed",
        "webhook.secret_rotated",
        "webhook.deleted",
        "webhook.delivery_requested",
    ]
    | str
)
"""What was done."""

AssetChange: TypeAlias = Literal["created", "updated", "overwritten", "deleted"] | str
"""What a pull did to an asset; the words of its report."""


class AssetEvent(_Model):
    """One change of one asset by one pull."""

    sequence: int
    pull: int
    at: datetime
    asset_id: str
    kind: str
    change: AssetChange
    path: str
    merged: bool
    undoes: int | None = None
    run_id: UUID | None = None
    renamed_from: str | None = None
    before: AssetState | None = None
    after: AssetState | None = None


class AssetEventPage(_Model):
    """Some events, in their order."""

    items: list[AssetEvent]
    cursor: int
    has_next: bool
    oldest: int | None = None


class Asset(_Model):
    """An asset of the project."""

    id: str
    path: str
    name: str
    kind: str
    digest: str
    executable: bool
    size: int
    modified: bool
    lagging: bool
    base: AssetState | None = None
    behind: str | None = None


class AssetPage(_Page):
    """AssetPage."""

    items: list[Asset]


class AuditEvent(_Model):
    """Something that was done, and by whom."""

    id: UUID
    cursor: str
    at: datetime
    action: Action
    detail: dict[str, Any]
    actor_kind: str
    actor_name: str
    tenant_id: UUID | None = None
    project_id: UUID | None = None
    subject: str | None = None
    actor_id: UUID | None = None
    credential: str | None = None
    address: str | None = None
    request_id: str | None = None


class AuditPage(_Model):
    """Some events of the audit log."""

    items: list[AuditEvent]
    next_cursor: str | None = None


BackendName: TypeAlias = Literal["native", "external", "temporal", "prefect"] | str
"""What executes runs."""

BehindReason: TypeAlias = (
    Literal[
        "conflict",
        "left_out",
        "symlink",
        "submodule",
        "lfs_pointer",
        "name_not_utf8",
        "name_too_long",
    ]
    | str
)
"""Why an asset is behind the recorded revision: it is not as that revision has it."""


class BindingBody(_Model):
    """The ref and the subfolder of a connection's repository."""

    connection_id: UUID
    ref: str = "heads/main"
    scope: str = ""


class Binding(_Model):
    """What a project is bound to."""

    connection_id: UUID
    ref: str
    scope: str


class ClaimBody(_Model):
    """Who claims, and of which projects; without them, of all that the caller may write to."""

    executor_id: str
    project_ids: list[UUID] | None = Field(default_factory=list)


class Claim(_Model):
    """A run that is the claimer's until ``lease_until``, if no heartbeat comes."""

    run: RunSummary
    token: str
    lease_until: datetime
    pull: WorkPull
    work: Work


class Clash(_Model):
    """A field that a resolution by fields needs a side for; a side that lacks it is left out. Without
    any value, the contents are too large to be in the answer.
    """

    pointer: str
    reason: str
    base: Any | None = None
    ours: Any | None = None
    theirs: Any | None = None


class CompleteBody(_Model):
    """The plan with its contents; or a failure."""

    run_id: UUID
    token: str
    plan: str | None = None
    contents: dict[str, str] = Field(default_factory=dict)
    failure: FailureBody | None = None
    window: WindowBody | None = None


class Conflict(_Model):
    """Assets that a pull cannot settle by itself."""

    kind: str
    path: str
    parties: list[Party]
    blockers: list[str]


class ConflictView(_Model):
    """A conflict, and the close view of each of its parties."""

    conflict: Conflict
    explanations: list[Explanation]
    resolution: Resolution | None = None


class Conflicts(_Model):
    """What a pull would leave in conflict."""

    conflicts: list[Conflict]
    resolved: list[str]
    base: str | None = None
    revision: str | None = None


class ConnectionChange(_Model):
    """A change of a connection: what is left out stays, a null secret is forgotten."""

    url: str | None = None
    name: str | None = None
    config: dict[str, Any] | None = Field(default_factory=dict)
    credential: CredentialBody | None = None
    webhook_secret: str | None = Field(default=None, repr=False)


class Connection(_Model):
    """A connection, without its secrets."""

    id: UUID
    name: str
    provider: Provider
    url: str
    config: dict[str, Any]
    has_credential: bool
    has_webhook_secret: bool
    webhook_path: str
    created_at: datetime
    updated_at: datetime
    credential_origin: str | None = None


class ConnectionPage(_Page):
    """ConnectionPage."""

    items: list[Connection]


class ContentBody(_Model):
    """Bytes: as text, or in Base64."""

    text: str | None = None
    base64: str | None = None


ContentMode: TypeAlias = Literal["auto", "structure", "lines", "never"] | str
"""How the contents of an asset are merged."""


class Content(_Model):
    """A content: as text where it is UTF-8, else in Base64."""

    digest: str
    size: int | None = None
    text: str | None = None
    base64: str | None = None


class CredentialBody(_Model):
    """A user name and a password; a token needs no user name."""

    username: str = "x-access-token"
    password: str = Field(repr=False)


class Delivery(_Model):
    """The delivery of a message to a webhook."""

    id: UUID
    message_id: str
    event_type: EventType
    payload: dict[str, Any]
    state: DeliveryState
    attempts: int
    created_at: datetime
    last_attempt_at: datetime | None = None
    last_result: Result | None = None
    last_status: int | None = None
    next_attempt_at: datetime | None = None
    ended_at: datetime | None = None


class DeliveryPage(_Page):
    """DeliveryPage."""

    items: list[Delivery]


DeliveryState: TypeAlias = Literal["waiting", "delivered", "failed"] | str
"""The state of a message to one endpoint."""


class DigestsBody(_Model):
    """The contents that the caller saw; null where a side lacks the asset."""

    base: str | None = None
    ours: str | None = None
    theirs: str | None = None


class Digests(_Model):
    """The contents that a resolution is bound to; null where a side lacks the asset."""

    base: str | None = None
    ours: str | None = None
    theirs: str | None = None


DisabledReason: TypeAlias = Literal["asked", "gone", "failing"] | str
"""Why nothing is sent to an endpoint."""

EventType: TypeAlias = Literal["run.succeeded", "run.failed", "run.cancelled", "ping"] | str
"""What an event is about."""


class Explanation(_Model):
    """How an asset differs between its sides."""

    asset_id: str
    format: str
    contents: dict[str, Content]
    fields: list[ExplainedField]
    clashes: list[Clash]
    takes_content: bool
    lines: list[Lines]
    note: str
    paths: dict[str, str] | None = None
    executable: dict[str, bool] | None = None


class FailureBody(_Model):
    """Why the run could not be completed."""

    reason: str
    message: str


Fault: TypeAlias = (
    Literal[
        "remote",
        "credential",
        "permission",
        "rate_limit",
        "content",
        "conflict",
        "limit",
        "request",
        "store",
        "prerequisite",
        "unsupported",
        "executor",
        "caller",
        "internal",
    ]
    | str
)
"""What was at fault, in enough detail for the words of every dialect."""


class ExplainedField(_Model):
    """One place inside a JSON asset where the sides differ; a side that lacks it is left out."""

    pointer: str
    clashes: bool
    base: Any | None = None
    ours: Any | None = None
    theirs: Any | None = None


FieldRule: TypeAlias = Literal["theirs", "ours", "larger", "guarded"] | str
"""What becomes of a field that both sides changed; or, if guarded, that theirs changed."""


class GitConnectionBody(_Model):
    """A connection to be made, to a Git repository."""

    url: str
    name: str | None = None
    credential: CredentialBody | None = None
    webhook_secret: str | None = Field(default=None, repr=False)
    provider: str = "git"


class HeartbeatBody(_Model):
    """How far the run is."""

    run_id: UUID
    token: str
    phase: str | None = None
    done: int = 0
    total: int | None = None


class HeldBody(_Model):
    """A run, and the right to it."""

    run_id: UUID
    token: str


class HttpApiConfig(_Model):
    """A list of objects over HTTP: each is a file."""

    format: str = "json"
    """A JSON document, or an object on each line."""
    items: str = ""
    """JSON pointer to the array in the document, such as `/data/items`; empty: the document is the
    array.
    """
    id_field: str = "id"
    """The field that names the file; slashes in it make folders."""
    extension: str = ".json"
    """What the file's name ends with."""
    content_field: str = ""
    """The field with the file's content: text as it is, anything else as JSON; empty: the whole
    object.
    """
    content_url_field: str = ""
    """The field with the address of the file's content, on the same host."""
    cursor_field: str = ""
    """The field that changes whenever the content does, such as `updated_at`: content at an address
    is then read only where it changed.
    """
    paging: str = "none"
    """Where the next page is: nowhere, in the Link header, at an address in the answer, or behind a
    cursor in the answer.
    """
    next_field: str = ""
    """JSON pointer to the next page's address or cursor in the answer."""
    cursor_parameter: str = "cursor"
    """The query parameter that takes the cursor."""
    parameters: dict[str, str] = Field(default_factory=dict)
    """Query parameters of the list; none is a secret."""
    token_header: str = "Authorization"
    """The header that has the token: as `Bearer` in Authorization, bare in others."""


class HttpApiConnectionBody(_Model):
    """A connection to be made, to a list of objects over HTTP."""

    url: str
    provider: Literal["http_api"]
    name: str | None = None
    credential: CredentialBody | None = None
    webhook_secret: str | None = Field(default=None, repr=False)
    config: HttpApiConfig | None = None


class Identity(_Model):
    """A user, a service account or an API key, without its secrets."""

    id: UUID
    tenant_id: UUID
    kind: PrincipalKind
    name: str
    subject: str
    created_at: datetime
    email: str | None = None
    tenant_role: Role | None = None
    project_roles: dict[str, Role] = Field(default_factory=dict)
    key_hint: str | None = None
    expires_at: datetime | None = None
    disabled_at: datetime | None = None


class IdentityPage(_Page):
    """IdentityPage."""

    items: list[Identity]


class Item(_Model):
    """What became of one asset."""

    path: str
    name: str
    kind: str
    merged: bool
    discarded: bool
    asset_id: str | None = None
    rule: int | None = None
    before: AssetState | None = None
    after: AssetState | None = None
    renamed_from: str | None = None
    merged_by: str | None = None
    resolved: bool = False
    reason: str | None = None
    behind: str | None = None


class KeyBody(_Model):
    """An API key to be made."""

    name: str
    tenant_role: Role | None = None
    days: int | None = None


class KindBody(_Model):
    """What the project calls some of its assets; docs/kinds.md describes what it says of contents.
    Places inside contents are JSON pointers in which ``*`` is any one name or element.
    """

    name: str
    globs: list[str]
    id_pointer: str | None = None
    data_type: str | None = None
    merge: ContentMode | None = None
    identity: dict[str, str] = Field(default_factory=dict)
    unordered: list[str] = Field(default_factory=list)
    fields: dict[str, FieldRule] = Field(default_factory=dict)


class Kind(_Model):
    """A kind of asset."""

    name: str
    globs: list[str]
    identity: dict[str, str]
    unordered: list[str]
    fields: dict[str, FieldRule]
    id_pointer: str | None = None
    data_type: str | None = None
    merge: ContentMode | None = None


class Lease(_Model):
    """How long a renewed lease lasts, and whether to stop."""

    lease_until: datetime
    cancel: bool


class Lines(_Model):
    """A unified diff from one side to another."""

    before: str
    after: str
    diff: str


class LogLine(_Model):
    """A line of a run's log."""

    at: datetime
    level: str
    text: str


class LoginBody(_Model):
    """An email and a password."""

    email: str
    password: str = Field(repr=False)


class MoveBody(_Model):
    """The new path of an asset."""

    path: str


NamePolicy: TypeAlias = (
    Literal["exact", "folds_case", "normalises", "folds_case_and_normalises", "portable"] | str
)
"""Which paths a store holds equal, and which it cannot hold at all."""


class Note(_Model):
    """What a person should know of an asset that is pulled all the same."""

    asset_id: str
    path: str
    text: str


OnConflict: TypeAlias = Literal["refuse", "skip", "theirs", "ours"] | str
"""What a pull does with conflicts that no resolution settles (docs/semantics.md)."""

Outcome: TypeAlias = Literal["changed", "unchanged", "partial"] | str
"""What a run that succeeded did."""


class Party(_Model):
    """One asset of a conflict, on its three sides."""

    asset_id: str
    path: str
    name: str
    kind: str
    base: AssetState | None = None
    ours: AssetState | None = None
    theirs: AssetState | None = None


class PasswordBody(_Model):
    """A password."""

    password: str = Field(repr=False)


class PlanBody(_Model):
    """A plan to be made."""

    kind: str | None = None
    only: SelectionBody | None = None
    use_theirs: list[str] = Field(default_factory=list)
    use_ours: list[str] = Field(default_factory=list)
    on_conflict: OnConflict | None = None
    content_merge: ContentMode | None = None
    renames: Renames | None = None
    allow_empty: bool = False
    full_refresh: bool = False


PlanKind: TypeAlias = Literal["pull", "undo"] | str
"""What a plan came from."""


class Plan(_Model):
    """A stored plan, and what applying it would do."""

    id: UUID
    created_at: datetime
    kind: PlanKind
    is_noop: bool
    refused: bool
    report: Report
    base: str | None = None
    revision: str | None = None


class PostgresConfig(_Model):
    """A table of PostgreSQL: each row is a file."""

    table: str
    """The table or view, such as `rules` or `public.rules`."""
    primary_key: list[str] = Field(default_factory=list)
    """The columns that name the file; none: the primary key of the table.

    All but the last make folders.
    """
    columns: list[str] = Field(default_factory=list)
    """What the file has, as JSON; none: every column."""
    content_column: str = ""
    """The column that is the file: text and bytes as they are, anything else as JSON; empty: the
    columns.
    """
    cursor_field: str = ""
    """The column that changes whenever the row does, such as `updated_at`: then only rows that
    changed are read.
    """
    extension: str = ".json"
    """What the file's name ends with."""
    tls: str = "verify"
    """Whether the server's certificate is verified, or nothing is encrypted."""


class PostgresConnectionBody(_Model):
    """A connection to be made, to the rows of a table."""

    url: str
    provider: Literal["postgres"]
    config: PostgresConfig
    name: str | None = None
    credential: CredentialBody | None = None
    webhook_secret: str | None = Field(default=None, repr=False)


class PreviewBody(_Model):
    """A project of which to see what would be an asset."""

    path: str
    binding: BindingBody
    kinds: list[KindBody] | str | None = Field(default_factory=list)
    hidden: bool = False
    names: NamePolicy = "exact"
    on_conflict: OnConflict = "refuse"
    content_merge: ContentMode = "auto"
    renames: Renames = "similar"


class Preview(_Model):
    """What would be an asset of a project, and what not."""

    revision: str
    assets: int
    counts: dict[str, int]
    ignored: int
    files: list[PreviewedFile]
    notes: list[Note]
    refusal: str


class PreviewedFile(_Model):
    """A file of the repository."""

    path: str
    kind: str | None = None
    reason: str | None = None


PrincipalKind: TypeAlias = Literal["user", "service_account", "api_key", "operator"] | str
"""What a caller is."""


class ProjectBody(_Model):
    """A project to be made."""

    path: str
    kinds: list[KindBody] | str | None = Field(default_factory=list)
    hidden: bool = False
    names: NamePolicy = "exact"
    on_conflict: OnConflict = "refuse"
    content_merge: ContentMode = "auto"
    renames: Renames = "similar"
    binding: BindingBody | None = None


class ProjectChange(_Model):
    """A change of a project: what is left out stays; a null binding removes it."""

    kinds: list[KindBody] | str | None = Field(default_factory=list)
    hidden: bool | None = None
    on_conflict: OnConflict | None = None
    content_merge: ContentMode | None = None
    renames: Renames | None = None
    binding: BindingBody | None = None


class Project(_Model):
    """A project."""

    id: UUID
    path: str
    name: str
    kinds: list[Kind]
    hidden: bool
    names: NamePolicy
    on_conflict: OnConflict
    content_merge: ContentMode
    renames: Renames
    created_at: datetime
    binding: Binding | None = None


class ProjectPage(_Page):
    """ProjectPage."""

    items: list[Project]


Provider: TypeAlias = (
    Literal[
        "git",
        "github",
        "gitlab",
        "bitbucket",
        "gitea",
        "azure_devops",
        "http_api",
        "s3",
        "postgres",
        "sftp",
    ]
    | str
)
"""What sort of host a repository is on, ``git`` is any; or what else has files."""


class PullSummary(_Model):
    """One applied plan."""

    number: int
    kind: PlanKind
    undone: bool
    is_retained: bool
    base: str | None = None
    revision: str | None = None
    at: datetime | None = None
    undoes: int | None = None


class PullSummaryPage(_Page):
    """PullSummaryPage."""

    items: list[PullSummary]


ReasonCode: TypeAlias = (
    Literal[
        "heartbeat_timeout",
        "lease_lost",
        "user_cancelled",
        "auth_error",
        "rate_limited",
        "unresolved_conflicts",
        "asset_limit_exceeded",
        "validation_failed",
        "remote_unreachable",
        "worker_shutdown",
        "internal_error",
    ]
    | str
)
"""Why a run did not succeed."""

Renames: TypeAlias = Literal["similar", "exact", "off"] | str
"""Whether the remote's renames are looked for; ours are known to the store."""


class Report(_Model):
    """What a pull did, or would do; an asset is in at most one of the five lists."""

    status: str
    overwritten: list[Item]
    updated: list[Item]
    created: list[Item]
    deleted: list[Item]
    ignored: list[Item]
    conflicts: list[Conflict]
    error_msgs: list[str]
    base: str | None = None
    revision: str | None = None
    behind: list[Item] = Field(default_factory=list)
    notes: list[Note] = Field(default_factory=list)
    history_rewritten: bool | None = None


class ResolutionBody(_Model):
    """How to settle the conflict of one asset: by one of side, fields and content."""

    side: Side | None = None
    fields: dict[str, Side] | None = Field(default_factory=dict)
    content: ContentBody | None = None
    digests: DigestsBody | None = None


class Resolution(_Model):
    """How a person settled the conflict of one asset: by one of side, fields and content.

    It is used while the asset's contents, paths and executable bits are those that it was made
    for.
    """

    asset_id: str
    digests: Digests
    side: Side | None = None
    fields: dict[str, Side] | None = None
    content: Content | None = None


Result: TypeAlias = (
    Literal[
        "delivered",
        "refused",
        "timed_out",
        "unreachable",
        "tls_failed",
        "not_http",
        "address_refused",
        "scheme_refused",
        "secret_unreadable",
    ]
    | str
)
"""The result of an attempt."""

ResultClass: TypeAlias = (
    Literal[
        "success",
        "no_change",
        "partial_success",
        "conflict",
        "retryable_failure",
        "permanent_failure",
        "cancelled",
    ]
    | str
)
"""How a run ended, and whether a retry may help."""


class RetryBody(_Model):
    """How a run is retried."""

    mode: RunMode | None = None


Role: TypeAlias = Literal["reader", "writer", "admin"] | str
"""What a caller may do with a project, each including the ones before."""


class RoleBody(_Model):
    """A role."""

    role: Role


class RunBody(_Model):
    """A run to be made."""

    kind: str | None = None
    only: SelectionBody | None = None
    use_theirs: list[str] = Field(default_factory=list)
    use_ours: list[str] = Field(default_factory=list)
    on_conflict: OnConflict | None = None
    content_merge: ContentMode | None = None
    renames: Renames | None = None
    allow_empty: bool = False
    mode: RunMode = "incremental"
    backend: BackendName = "native"


class RunError(_Model):
    """Why a run failed."""

    code: str
    message: str
    fault: Fault
    data: dict[str, Any]


RunMode: TypeAlias = Literal["incremental", "full_refresh", "dry_run"] | str
"""How much a run looks at, and whether it writes."""

RunState: TypeAlias = (
    Literal[
        "queued",
        "fetching",
        "comparing",
        "validating",
        "applying",
        "succeeded",
        "failed",
        "cancelled",
    ]
    | str
)
"""The state of a run. The four phases are the engine's (`towline.ports.Phase`)."""


class RunSummary(_Model):
    """A run as it is now, without its report."""

    id: UUID
    project_id: UUID
    mode: RunMode
    backend: BackendName
    triggered_by: TriggeredBy
    is_initial: bool
    state: RunState
    progress: int
    is_cancelling: bool
    attempt: int
    attempt_root_id: UUID
    will_be_retried: bool
    created_at: datetime
    updated_at: datetime
    batch_id: UUID | None = None
    parent_id: UUID | None = None
    kind: str | None = None
    trigger_ref: str | None = None
    requested_by: UUID | None = None
    previous_attempt_id: UUID | None = None
    next_attempt_id: UUID | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    phase_seconds: dict[str, float] | None = None
    base_revision: str | None = None
    target_revision: str | None = None
    outcome: Outcome | None = None
    result_class: ResultClass | None = None
    reason_code: ReasonCode | None = None
    error: RunError | None = None
    pull: int | None = None


class RunSummaryPage(_Page):
    """RunSummaryPage."""

    items: list[RunSummary]


class CancelBody(_Model):
    """Why a run is cancelled."""

    reason: str | None = None


class S3Config(_Model):
    """A prefix of a bucket: each object below it is a file."""

    include: list[str] = Field(default_factory=list)
    """Globs of the files that are read, such as `rules/**`; none: all of them."""
    region: str = "us-east-1"
    """The region that requests are signed for."""


class S3ConnectionBody(_Model):
    """A connection to be made, to the objects of a bucket."""

    url: str
    provider: Literal["s3"]
    name: str | None = None
    credential: CredentialBody | None = None
    webhook_secret: str | None = Field(default=None, repr=False)
    config: S3Config | None = None


class ScheduleBody(_Model):
    """A schedule to be made: by a cron line in a time zone, or by a number of seconds."""

    cron: str | None = None
    timezone: str = "UTC"
    every_seconds: int | None = None
    enabled: bool = True
    mode: RunMode = "incremental"
    kind: str | None = None
    on_conflict: OnConflict | None = None
    allow_empty: bool = False
    backend: BackendName = "native"


class ScheduleChange(_Model):
    """A change of a schedule: what is left out stays.

    A null ``kind`` or ``on_conflict`` is as in a new schedule; another null is as if left out.
    """

    cron: str | None = None
    timezone: str | None = None
    every_seconds: int | None = None
    enabled: bool | None = None
    mode: RunMode | None = None
    kind: str | None = None
    on_conflict: OnConflict | None = None
    allow_empty: bool | None = None
    backend: BackendName | None = None


class Schedule(_Model):
    """A schedule of a project, of a sync too."""

    id: UUID
    timezone: str
    enabled: bool
    mode: RunMode
    allow_empty: bool
    backend: BackendName
    sync_id: UUID | None = None
    cron: str | None = None
    every_seconds: int | None = None
    due_at: datetime | None = None
    kind: str | None = None
    on_conflict: OnConflict | None = None


class SchedulePage(_Page):
    """SchedulePage."""

    items: list[Schedule]


class SelectionBody(_Model):
    """The assets that a pull is limited to: those that one of the three names; all if none does."""

    kinds: list[str] = Field(default_factory=list)
    globs: list[str] = Field(default_factory=list)
    ids: list[str] = Field(default_factory=list)


class ServiceAccountBody(_Model):
    """A service account to be made."""

    name: str
    tenant_role: Role | None = None
    subject: str | None = None
    login: LoginBody | None = None


class SftpConfig(_Model):
    """A folder of an SFTP server: each plain file below it is a file."""

    host_key: str
    """The server's public key, as `ssh-keyscan` shows it behind the host: its type and the key. A
    server with another one is refused.
    """
    include: list[str] = Field(default_factory=list)
    """Globs of the files that are read, such as `rules/**`; none: all of them."""


class SftpConnectionBody(_Model):
    """A connection to be made, to a folder of an SFTP server."""

    url: str
    provider: Literal["sftp"]
    config: SftpConfig
    name: str | None = None
    credential: CredentialBody | None = None
    webhook_secret: str | None = Field(default=None, repr=False)


Side: TypeAlias = Literal["theirs", "ours"] | str
"""One of the two sides that an asset can be resolved to."""

State: TypeAlias = (
    Literal[
        "unchanged",
        "modified-here",
        "modified-there",
        "conflict",
        "local-only",
        "added-there",
        "deleted-here",
        "deleted-there",
        "behind",
    ]
    | str
)
"""The state of one asset."""


class AssetState(_Model):
    """An asset on one side."""

    path: str
    digest: str
    executable: bool


class StatusEntry(_Model):
    """The status of one asset."""

    asset_id: str
    path: str
    name: str
    kind: str
    state: State
    resolved: bool
    behind: BehindReason | None = None
    renamed_from: str | None = None
    renamed_there: str | None = None


class Status(_Model):
    """Every asset of a project, by path."""

    problem: str
    assets: list[StatusEntry]
    base: str | None = None
    revision: str | None = None


class TenantBody(_Model):
    """A tenant to be made."""

    name: str


class Tenant(_Model):
    """A tenant."""

    id: UUID
    name: str
    created_at: datetime


class TenantPage(_Page):
    """TenantPage."""

    items: list[Tenant]


TriggeredBy: TypeAlias = (
    Literal["manual", "scheduled", "on_create", "webhook", "retry", "auto_resume"] | str
)
"""What requested a run."""


class UndoBody(_Model):
    """Which pull to take back: the last one not taken back, unless one is named."""

    pull: int | None = None
    dry_run: bool = False


class UserBody(_Model):
    """A user to be made."""

    email: str
    tenant_role: Role | None = None
    subject: str | None = None
    password: str = Field(repr=False)
    name: str | None = None


class WaitingPlan(_Model):
    """A stored plan."""

    id: UUID
    created_at: datetime


class WaitingPlanPage(_Page):
    """WaitingPlanPage."""

    items: list[WaitingPlan]


class WebhookBody(_Model):
    """A webhook to be made."""

    url: str
    event_types: list[str] | None = Field(default_factory=list)
    project_id: UUID | None = None
    description: str = ""
    enabled: bool = True


class WebhookChange(_Model):
    """A change of a webhook: what is left out stays."""

    url: str | None = None
    event_types: list[str] | None = Field(default_factory=list)
    project_id: UUID | None = None
    description: str | None = None
    enabled: bool | None = None


class Webhook(_Model):
    """A webhook. Its secret is shown by what makes it, and nowhere else."""

    id: UUID
    url: str
    description: str
    enabled: bool
    created_at: datetime
    updated_at: datetime
    event_types: list[EventType] | None = None
    project_id: UUID | None = None
    disabled_at: datetime | None = None
    disabled_reason: DisabledReason | None = None


class WebhookPage(_Page):
    """WebhookPage."""

    items: list[Webhook]


class WindowBody(_Model):
    """The history of which one window was pulled."""

    tip: str
    left: int


class Work(_Model):
    """What planning needs; values as ``towline.codec`` encodes them."""

    project: str
    path: str
    kinds: dict[str, Any]
    names: NamePolicy
    state: dict[str, Any]
    records: list[dict[str, Any]]
    used: dict[str, str | None]
    url: str
    ref: str
    scope: str
    on_conflict: OnConflict
    content_merge: ContentMode
    renames: Renames
    limits: dict[str, Any]
    resolutions: list[dict[str, Any]]
    window: dict[str, Any] | None = None
    tip: str | None = None


class WorkPull(_Model):
    """What the run is to do."""

    mode: RunMode
    only: dict[str, Any]
    use_theirs: list[str]
    use_ours: list[str]
    allow_empty: bool


class Applied(Report):
    """What an applied plan did."""

    pull: int | None = None


class Key(Identity):
    """An API key that was just made."""

    key: str = Field(default="", repr=False)


class Pull(PullSummary):
    """One applied plan, and its report."""

    report: Report


class Run(RunSummary):
    """A run as it is now."""

    report: Report | None = None


class WebhookWithSecret(Webhook):
    """A webhook, and the new secret that signs its messages."""

    secret: str = Field(repr=False)
