"""Every error that towline raises, grouped by who must act (docs/architecture.md).

Each class has a stable ``code`` and carries its data as attributes; ``data()`` gives them in JSON
form. After any of these the project is as it was. No third-party exception crosses a port.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar


@dataclass(eq=False, kw_only=True)
class TowlineError(Exception):
    """The root of all errors that towline raises on purpose."""

    code: ClassVar[str] = "error"
    template: ClassVar[str] = ""
    """The message, with the error's fields in braces; a tuple is shown as a list."""

    @property
    def message(self) -> str:
        """One sentence for a person: what is wrong, and what to do."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        shown = {k: _listed(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return self.template.format_map(shown) or self.code

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), {f.name: getattr(self, f.name) for f in fields(self)})

    def data(self) -> dict[str, Any]:
        """The error's attributes as JSON values."""
        return {f.name: _json(getattr(self, f.name)) for f in fields(self)}


def _rebuild(kind: type[TowlineError], data: dict[str, Any]) -> TowlineError:
    return kind(**data)


def _json(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _json(getattr(value, f.name)) for f in fields(value)}
    return value if value is None or isinstance(value, (bool, int)) else str(value)


def _listed(values: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(repr(str(value)) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"


# --- the caller must act ----------------------------------------------------------------------


class CallerError(TowlineError):
    """The request is not valid for this project."""


@dataclass(eq=False, kw_only=True)
class InvalidValue(CallerError):
    """A value from outside is not of the form that its field takes."""

    code = "invalid_value"
    template = "{field}: {problem}"
    field: str
    problem: str


@dataclass(eq=False, kw_only=True)
class UnknownAssets(CallerError):
    """Resolutions or a selection have names that match nothing in the project.

    ``asset_ids`` holds the names as they were given: ids, paths, globs or kinds. ``near`` holds
    names of the project that resemble them.
    """

    code = "unknown_assets"
    asset_ids: tuple[str, ...]
    near: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        near = f"; did you mean {_listed(self.near)}?" if self.near else ""
        return f"nothing in the project matches {_listed(self.asset_ids)}{near}"


@dataclass(eq=False, kw_only=True)
class ConflictingResolutions(CallerError):
    """The same asset is in both use_theirs and use_ours."""

    code = "conflicting_resolutions"
    template = "{asset_ids} named in both use_theirs and use_ours; name one side"
    asset_ids: tuple[str, ...]


@dataclass(eq=False, kw_only=True)
class CollidingResolutions(CallerError):
    """Resolutions leave two assets that cannot exist together (rule 13)."""

    code = "colliding_resolutions"
    template = (
        "the chosen sides cannot both be at {paths} "
        "(assets {asset_ids}); leave one of them the path"
    )
    asset_ids: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(eq=False, kw_only=True)
class NoRemoteVersion(CallerError):
    """use_theirs names an asset of which the repository has no version (rules 6 and 14)."""

    code = "no_remote_version"
    template = (
        "the repository has no version of {path!r} (asset {asset_id}); take it out of use_theirs"
    )
    asset_id: str
    path: str


@dataclass(eq=False, kw_only=True)
class UnselectedResolutions(CallerError):
    """Resolutions name assets that the selection of this pull leaves out."""

    code = "unselected_resolutions"
    template = "{asset_ids} resolved but not selected; widen the selection"
    asset_ids: tuple[str, ...]


@dataclass(eq=False, kw_only=True)
class UnresolvedConflicts(CallerError):
    """A plan with open conflicts was applied."""

    code = "unresolved_conflicts"
    asset_ids: tuple[str, ...]
    paths: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        count = len(self.asset_ids)
        assets = "1 asset" if count == 1 else f"{count} assets"
        return (
            f"the plan leaves {assets} in conflict: {_listed(self.paths or self.asset_ids)}; "
            "choose use_theirs or use_ours for each and plan again"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenLimit:
    """A limit of `Limits`, and the most that was found of what it bounds.

    ``subject`` is where, if anywhere; ``count`` is how many break the limit.
    """

    limit: str
    allowed: int
    found: int
    subject: str = ""
    count: int = 1

    def __str__(self) -> str:
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        about = f" ({self.subject}{more})" if self.subject else ""
        return f"{self.found} is above the limit {self.limit} of {self.allowed}{about}"


@dataclass(eq=False, kw_only=True)
class LimitExceeded(CallerError):
    """Counts or sizes are above limits of `Limits` that the caller may raise.

    The fields of `BrokenLimit` are those of the first; ``others`` are the other limits that are
    broken, as far as they can be judged together.
    """

    code = "limit_exceeded"
    limit: str
    allowed: int
    found: int
    subject: str = ""
    count: int = 1
    others: tuple[BrokenLimit, ...] = ()

    @property
    def broken(self) -> tuple[BrokenLimit, ...]:
        """Every broken limit."""
        first = {f.name: getattr(self, f.name) for f in fields(BrokenLimit)}
        return (BrokenLimit(**first), *self.others)

    @property
    def message(self) -> str:
        raised = f"limits {', '.join(each.limit for each in self.broken)}"
        raised = raised if self.others else f"limit {self.limit}"
        broken = "; ".join(map(str, self.broken))
        return f"{broken}; nothing was changed: raise the {raised} or bring less"


def limits_exceeded(broken: Sequence[BrokenLimit]) -> LimitExceeded:
    """Return the one error of all these broken limits; the bound on assets goes first."""
    first, *others = sorted(broken, key=lambda each: each.limit != "assets")
    kind = AssetLimitExceeded if first.limit == "assets" else LimitExceeded
    values = {f.name: getattr(first, f.name) for f in fields(BrokenLimit)}
    return kind(**values, others=tuple(others))


class AssetLimitExceeded(LimitExceeded):
    """After the pull the project would track more assets than the limit allows."""

    code = "asset_limit_exceeded"


@dataclass(eq=False, kw_only=True)
class EmptyRemote(CallerError):
    """The remote scope resolves to no asset at all while the base had some."""

    code = "empty_remote"
    revision: str
    tracked: int

    @property
    def message(self) -> str:
        return (
            f"at {self.revision[:12]} the repository holds no asset, "
            f"while {self.tracked} are tracked; check ref, scope and kinds, or allow it"
        )


@dataclass(eq=False, kw_only=True)
class NotAssociated(CallerError):
    """The project is not associated with a repository."""

    code = "not_associated"
    template = "{project!r} is not associated with a Git repository; associate it first"
    project: str


@dataclass(eq=False, kw_only=True)
class AlreadyAssociated(CallerError):
    """The project is associated with a repository already."""

    code = "already_associated"
    template = "{project!r} is associated with a Git repository already"
    project: str


@dataclass(eq=False, kw_only=True)
class InvalidPlan(CallerError):
    """A stored plan cannot be read, or was altered since it was made."""

    code = "invalid_plan"
    template = "not a usable plan: {problem}; make a new one"
    problem: str


@dataclass(eq=False, kw_only=True)
class UnknownPull(CallerError):
    """The pull log has no such pull, or no longer holds what undoing it needs."""

    code = "unknown_pull"
    pull: int | None

    @property
    def message(self) -> str:
        if self.pull is None:
            return "there is no pull to undo"
        return f"the log holds no pull {self.pull} that can be undone"


# --- the world moved --------------------------------------------------------------------------


class MovedError(TowlineError):
    """The project changed under the operation; doing it again from the start may succeed."""


@dataclass(eq=False, kw_only=True)
class StalePlan(MovedError):
    """The project is no longer what the plan was made from."""

    code = "stale_plan"
    reason: str
    asset_ids: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        about = f": {_listed(self.paths or self.asset_ids)}" if self.paths or self.asset_ids else ""
        return f"{self.reason}{about}; nothing was changed: make a new plan"


@dataclass(eq=False, kw_only=True)
class UndoBlocked(MovedError):
    """Undoing would overwrite what changed after the pull.

    ``pulls`` are the later pulls and undos that changed ``paths``; without any, they were edited.
    ``in_the_way``: ``paths`` hold other files now.
    """

    code = "undo_blocked"
    pull: int
    paths: tuple[str, ...]
    pulls: tuple[int, ...] = ()
    in_the_way: bool = False

    @property
    def message(self) -> str:
        paths = _listed(self.paths)
        if self.pulls:
            numbers = ", ".join(map(str, self.pulls))
            cause = f"changed since, at {paths}, by {numbers} of the log; undo the later ones first"
        elif self.in_the_way:
            cause = f"{paths} in the way; move it away first"
        else:
            cause = f"edited since at {paths}; move or revert those edits first"
        return f"pull {self.pull} cannot be undone: {cause}"


@dataclass(eq=False, kw_only=True)
class StoreBusy(MovedError):
    """Someone else is pulling into the project now."""

    code = "store_busy"
    template = "another pull holds {project!r}; try again when it has ended"
    project: str


@dataclass(eq=False)
class Cancelled(MovedError):
    """The caller asked to stop before the commit point; nothing was changed."""

    code = "cancelled"
    template = "cancelled before anything was changed"


# --- the content is at fault ------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class InvalidPath(TowlineError):
    """A name that Git itself refuses, or that no store may hold."""

    code = "invalid_path"
    template = "{path!r}: {problem}"
    path: str
    problem: str


@dataclass(eq=False, kw_only=True)
class InvalidTree(TowlineError):
    """The repository's tree cannot be taken over; every problem is listed."""

    code = "invalid_tree"
    problems: tuple[str, ...]

    @property
    def message(self) -> str:
        shown = "; ".join(self.problems[:10])
        more = f"; and {len(self.problems) - 10} more" if len(self.problems) > 10 else ""
        return f"the repository's tree is refused: {shown}{more}; mend it there"


@dataclass(eq=False, kw_only=True)
class DuplicateEmbeddedId(TowlineError):
    """One embedded id is in two assets."""

    code = "duplicate_embedded_id"
    template = "the id {embedded_id!r} is in {paths}; give one of them another id in the repository"
    embedded_id: str
    paths: tuple[str, ...]


# --- the remote is at fault -------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class RemoteError(TowlineError):
    """The remote could not give what was asked. ``url`` is shown without credentials."""

    code = "remote_error"
    url: str
    detail: str = ""

    @property
    def message(self) -> str:
        return f"{self.url}: {self.detail or self.code}"


@dataclass(eq=False, kw_only=True)
class RefNotFound(RemoteError):
    """The remote has no such branch, tag or commit.

    ``default`` is the remote's default branch, where that was asked for and is there.
    """

    code = "ref_not_found"
    ref: str
    default: str | None = None

    @property
    def message(self) -> str:
        if self.default is not None:
            return f"{self.url} has no {self.ref!r}; its default branch is {self.default!r}"
        return f"{self.url} has no {self.ref!r}; check the branch, tag or commit"


class EmptyRepository(RefNotFound):
    """The repository has no commit yet, or its HEAD names a branch that has none."""

    code = "empty_repository"

    @property
    def message(self) -> str:
        if self.ref == "HEAD":
            return f"the default branch of {self.url} has no commit; name another, or push one"
        return f"{self.url} has no {self.ref!r}, and no other branch or tag"


@dataclass(eq=False, kw_only=True)
class RemoteUnavailable(RemoteError):
    """The remote cannot be reached, or the connection was cut.

    ``retry_after`` is the number of seconds after which it wants to be asked again, if it said so.
    """

    code = "remote_unavailable"
    retry_after: int | None = None


class RemoteTimeout(RemoteUnavailable):
    """The remote stayed silent, or took longer than the limits allow."""

    code = "remote_timeout"


class RemoteRefused(RemoteError):
    """The remote answered, and refused."""

    code = "remote_refused"


@dataclass(eq=False, kw_only=True)
class AuthenticationFailed(RemoteRefused):
    """The remote requires credentials, or refused those it got.

    ``refused`` says whether it got any.
    """

    code = "authentication_failed"
    refused: bool = False


class PermissionDenied(RemoteRefused):
    """The credentials are good, but may not read this repository."""

    code = "permission_denied"


@dataclass(eq=False, kw_only=True)
class RateLimited(RemoteRefused):
    """The remote asks to come back later (HTTP 429).

    ``retry_after`` is the number of seconds it asks for, if it said so.
    """

    code = "rate_limited"
    retry_after: int | None = None


class RedirectRefused(RemoteRefused):
    """The remote redirects elsewhere; credentials do not travel, so it is not followed."""

    code = "redirect_refused"


class UnsupportedRemote(RemoteRefused):
    """The repository uses a format that towline does not read (such as sha256 objects)."""

    code = "unsupported_remote"


# --- the machine is at fault ------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class StoreError(TowlineError):
    """The store cannot be read or written."""

    code = "store_error"
    template = "the store of {project!r} failed: {problem}"
    project: str
    problem: str


class StoreDamaged(StoreError):
    """The store's state is there but cannot be trusted; it was left as it is."""

    code = "store_damaged"


class LinkRefused(StoreError):
    """A link, a pipe or a device is where a store or a cache has files; none is followed."""

    code = "link_refused"
    template = "{project}: {problem}; links are not followed here: remove it"


@dataclass(eq=False, kw_only=True)
class UnsafeOwner(StoreError):
    """A store or a cache, or a file of it, belongs to a user who is not trusted."""

    code = "unsafe_owner"
    template = (
        "{project}: {problem} belongs to user {owner}, who chooses by it which "
        "remote is asked, with your credentials, and what is written here"
    )
    owner: int


@dataclass(eq=False, kw_only=True)
class ContentMissing(TowlineError):
    """The bytes of a digest are nowhere to be had."""

    code = "content_missing"
    digests: tuple[str, ...]

    @property
    def message(self) -> str:
        digests = _listed([digest[:12] for digest in self.digests])
        return f"no content for {digests}; fetch the repository again"
