"""Every error that towline raises, grouped by who must act (docs/architecture.md).

Each class has a stable ``code``, and its data as attributes; ``data()`` returns them in JSON form.
After any of these the project is as it was. No third-party exception crosses a port.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from towline.error_base import TowlineError as TowlineError
from towline.error_base import listed


class CallerError(TowlineError):
    """The request is not valid for this project."""


class InvalidValue(CallerError, code="invalid_value"):
    """A value from outside is not of the form that its field takes."""

    template = "{field}: {problem}"
    field: str
    problem: str


class UnknownAssets(CallerError, code="unknown_assets"):
    """Names of resolutions or a selection match nothing in the project.

    ``asset_ids`` holds them as given: ids, paths, globs or kinds. ``near`` holds similar names.
    """

    asset_ids: tuple[str, ...]
    near: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        near = f"; did you mean {listed(self.near)}?" if self.near else ""
        return f"nothing in the project matches {listed(self.asset_ids)}{near}"


class ConflictingResolutions(CallerError, code="conflicting_resolutions"):
    """The same asset is in both use_theirs and use_ours."""

    template = "both use_theirs and use_ours name {asset_ids}; choose one side"
    asset_ids: tuple[str, ...]


class CollidingResolutions(CallerError, code="colliding_resolutions"):
    """Resolutions leave two assets that cannot exist together (rule 13)."""

    template = (
        "the chosen sides put assets {asset_ids} at the same path {paths}; choose one for the path"
    )
    asset_ids: tuple[str, ...]
    paths: tuple[str, ...]


class NoRemoteVersion(CallerError, code="no_remote_version"):
    """use_theirs names an asset of which the repository has no version (rules 6 and 14)."""

    template = "the repository has no {path!r} (asset {asset_id}); take it out of use_theirs"
    asset_id: str
    path: str


class UnselectedResolutions(CallerError, code="unselected_resolutions"):
    """Resolutions name assets that the selection of this pull leaves out."""

    template = "the selection leaves out {asset_ids}, which the resolutions name; select them too"
    asset_ids: tuple[str, ...]


class InvalidResolution(CallerError, code="invalid_resolution"):
    """A resolution does not settle the conflict of its asset; ``fields`` are those that clash."""

    asset_id: str
    path: str
    problem: str
    fields: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        clashing = f" (fields that clash: {listed(self.fields)})" if self.fields else ""
        return f"cannot resolve {self.path!r} this way: {self.problem}{clashing}"


class UnresolvedConflicts(CallerError, code="unresolved_conflicts"):
    """A plan with open conflicts was applied."""

    asset_ids: tuple[str, ...]
    paths: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        assets = "1 asset" if len(self.asset_ids) == 1 else f"{len(self.asset_ids)} assets"
        conflict = f"{assets} in conflict: {listed(self.paths or self.asset_ids)}"
        return f"the plan leaves {conflict}; choose use_theirs or use_ours for each and plan again"


@dataclass(eq=False, kw_only=True)
class BrokenLimit:
    """A broken limit, and the most that was found; ``subject`` is where, ``count`` how often."""

    limit: str
    allowed: int
    found: int
    subject: str = ""
    count: int = 1

    @property
    def problem(self) -> str:
        """What was found, and the limit that it is above."""
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        about = f" ({self.subject}{more})" if self.subject else ""
        return f"{self.found} exceeds the limit {self.limit} of {self.allowed}{about}"


class LimitExceeded(BrokenLimit, CallerError, code="limit_exceeded"):
    """Counts or sizes are above limits of `Limits` that the caller may raise.

    The error is the first broken limit; ``others`` are those that can be judged together with it.
    """

    others: tuple[BrokenLimit, ...] = ()

    @property
    def broken(self) -> tuple[BrokenLimit, ...]:
        """Every broken limit."""
        first = BrokenLimit(**{f.name: getattr(self, f.name) for f in fields(BrokenLimit)})
        return (first, *self.others)

    @property
    def message(self) -> str:
        plural, names = "s" if self.others else "", ", ".join(each.limit for each in self.broken)
        broken = "; ".join(each.problem for each in self.broken)
        return f"{broken}; nothing was changed: raise the limit{plural} {names} or pull less"


class AssetLimitExceeded(LimitExceeded, code="asset_limit_exceeded"):
    """After the pull the project would track more assets than the limit allows."""


class EmptyRemote(CallerError, code="empty_remote"):
    """The remote scope resolves to no asset at all while the base had some."""

    template = (
        "the repository has no assets at {revision:.12}, "
        "but {tracked} are tracked; check ref, scope and kinds, or allow it"
    )
    revision: str
    tracked: int


class NotAssociated(CallerError, code="not_associated"):
    """The project is not associated with a repository."""

    template = "{project!r} is not associated with a Git repository; associate it first"
    project: str


class AlreadyAssociated(CallerError, code="already_associated"):
    """The project is associated with a repository already."""

    template = "{project!r} is already associated with a Git repository"
    project: str


class InvalidPlan(CallerError, code="invalid_plan"):
    """A stored plan cannot be read, or was altered since it was made."""

    template = "not a usable plan: {problem}; make a new one"
    problem: str


class UnknownPull(CallerError, code="unknown_pull"):
    """The pull log has no such pull, or no longer holds what undoing it needs."""

    pull: int | None

    @property
    def message(self) -> str:
        named = f"the log has no pull {self.pull}, or no longer has what is needed from it"
        return "there is no pull to undo" if self.pull is None else named


class MovedError(TowlineError):
    """The project changed under the operation; a retry from the start may succeed."""


class StalePlan(MovedError, code="stale_plan"):
    """The project is no longer what the plan was made from."""

    reason: str
    asset_ids: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        about = f": {listed(self.paths or self.asset_ids)}" if self.paths or self.asset_ids else ""
        return f"{self.reason}{about}; nothing was changed: make a new plan"


class UndoBlocked(MovedError, code="undo_blocked"):
    """``paths`` changed after the pull: by ``pulls``, by files ``in_the_way``, or by edits."""

    pull: int
    paths: tuple[str, ...]
    pulls: tuple[int, ...] = ()
    in_the_way: bool = False

    @property
    def message(self) -> str:
        paths = listed(self.paths)
        numbers = ", ".join(map(str, self.pulls))
        if numbers:
            cause = f"{paths} changed in later pulls ({numbers}); undo those first"
        elif self.in_the_way:
            cause = f"{paths} is in the way; move it first"
        else:
            cause = f"{paths} has been edited since; move or revert the edits first"
        return f"pull {self.pull} cannot be undone: {cause}"


class StoreBusy(MovedError, code="store_busy"):
    """Someone else is pulling into the project now."""

    template = "another pull of {project!r} is running; try again when it has ended"
    project: str


class Cancelled(MovedError, code="cancelled"):
    """The caller asked to stop before the commit point; nothing was changed."""

    template = "cancelled before anything was changed"


class InvalidPath(TowlineError, code="invalid_path"):
    """A name that Git itself refuses, or that no store may hold."""

    template = "{path!r}: {problem}"
    path: str
    problem: str


class InvalidTree(TowlineError, code="invalid_tree"):
    """The repository's tree cannot be taken over; every problem is listed."""

    problems: tuple[str, ...]

    @property
    def message(self) -> str:
        shown = "; ".join(self.problems[:10])
        more = f"; and {len(self.problems) - 10} more" if len(self.problems) > 10 else ""
        return f"the repository's tree is invalid: {shown}{more}; fix it in the repository"


class RemoteError(TowlineError, code="remote_error"):
    """The remote could not give what was asked. ``url`` is shown without credentials."""

    url: str
    detail: str = ""

    @property
    def message(self) -> str:
        return f"{self.url}: {self.detail or self.code}"


class RefNotFound(RemoteError, code="ref_not_found"):
    """The remote has no such branch, tag or commit; ``default`` is its default branch, if known."""

    ref: str
    default: str | None = None

    @property
    def message(self) -> str:
        default = self.default and f"its default branch is {self.default!r}"
        return f"{self.url} has no {self.ref!r}; {default or 'check the branch, tag or commit'}"


class EmptyRepository(RefNotFound, code="empty_repository"):
    """The repository has no commit yet, or its HEAD names a branch that has none."""

    @property
    def message(self) -> str:
        if self.ref != "HEAD":
            return f"{self.url} has no {self.ref!r}, and no other branch or tag"
        return f"the default branch of {self.url} has no commits; name another, or push a commit"


class RemoteUnavailable(RemoteError, code="remote_unavailable"):
    """The remote cannot be reached, or was cut off; ``retry_after`` (seconds) if it says so."""

    retry_after: int | None = None


class RemoteTimeout(RemoteUnavailable, code="remote_timeout"):
    """The remote stayed silent, or took longer than the limits allow."""


class RemoteRefused(RemoteError, code="remote_refused"):
    """The remote answered, and refused."""


class AuthenticationFailed(RemoteRefused, code="authentication_failed"):
    """The remote requires credentials, or refused those it got, as ``refused`` says."""

    refused: bool = False


class PermissionDenied(RemoteRefused, code="permission_denied"):
    """The credentials are good, but may not read this repository."""


class RateLimited(RemoteRefused, code="rate_limited"):
    """The remote asks for a retry later (HTTP 429); ``retry_after`` as in `RemoteUnavailable`."""

    retry_after: int | None = None


class RedirectRefused(RemoteRefused, code="redirect_refused"):
    """The remote redirects elsewhere; credentials do not travel, so it is not followed."""


class UnsupportedRemote(RemoteRefused, code="unsupported_remote"):
    """The repository uses a format that towline does not read (such as sha256 objects)."""


class StoreError(TowlineError, code="store_error"):
    """The store cannot be read or written."""

    template = "the store of {project!r} failed: {problem}"
    project: str
    problem: str


class StoreDamaged(StoreError, code="store_damaged"):
    """The store's state is there but cannot be trusted; it was left as it is."""


class LinkRefused(StoreError, code="link_refused"):
    """A link, a pipe or a device is where a store or a cache has files; none is followed."""

    template = "{project}: {problem}; links are not followed here: remove it"


class UnsafeOwner(StoreError, code="unsafe_owner"):
    """A store or a cache, or a file of it, belongs to a user who is not trusted."""

    template = (
        "{project}: {problem} belongs to user {owner}, who could make towline send your "
        "credentials to another remote, and decide what is written here"
    )
    owner: int


class ContentMissing(TowlineError, code="content_missing"):
    """The bytes of a digest are neither in the store nor at the remote."""

    digests: tuple[str, ...]

    @property
    def message(self) -> str:
        shown = listed(tuple(digest[:12] for digest in self.digests))
        return f"no content for {shown}; fetch the repository again"
