"""The project of a command: the nearest one from the working folder up, with its remote."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from towline.errors import NotAssociated, StoreBusy, UnknownPull

from .output import echo_err

if TYPE_CHECKING:
    from towline.content_rules import ContentMode
    from towline.limits import Limits
    from towline.model import Digest, Revision
    from towline.options import Renames
    from towline.plan import Plan
    from towline.ports import LoggedPull, Watch
    from towline.records import Contents, ReadContent
    from towline.remotes.credentials import Credential
    from towline.remotes.git import GitRemote
    from towline.remotes.objects import Commit
    from towline.status import ProjectStatus
    from towline.stores.directory.store import DirectoryStore

STATE_FOLDER = ".towline"


@contextmanager
def open_project() -> Iterator[Project]:
    """Open the project that contains the working folder.

    Raises:
        NotAssociated: there is none.
    """
    from towline.stores.directory.store import DirectoryStore

    here = Path.cwd()
    root = find_root(here)
    inside = here.relative_to(root).as_posix()
    with DirectoryStore.open(root, trusts=trusts(root)) as store, ExitStack() as remotes:
        for path in store.recovered_edits:
            echo_err(
                f"warning: a file was edited while being replaced; the edit is saved in {path}"
            )
        if store.recovery_error is not None:
            echo_err(f"warning: cannot recover the interrupted pull: {store.recovery_error}")
        yield Project(
            root=root, store=store, remotes=remotes, prefix="" if inside == "." else inside
        )


def find_root(start: Path) -> Path:
    """Return the nearest folder with a ``.towline``, from this one up.

    Raises:
        NotAssociated: none does.
    """
    for folder in (start, *start.parents):
        if (folder / STATE_FOLDER).is_dir():
            return folder
    raise NotAssociated(project=str(start))


def trusts(root: Path) -> Callable[[int], bool]:
    """Return which users may own the project: the current one, root, and those the user trusts.

    Under sudo also the calling user, as in git. ``TOWLINE_ANY_OWNER`` accepts every
    folder for one command, git's ``safe.directory`` this one for good.
    """

    def trusted(owner: int) -> bool:
        us = os.geteuid()
        caller = os.environ.get("SUDO_UID", "") if us == 0 else ""
        if owner in (0, us) or str(owner) == caller or os.environ.get("TOWLINE_ANY_OWNER"):
            return True
        from .git_config import is_safe_directory

        return is_safe_directory(root)

    return trusted


class Project(NamedTuple):
    """An open store, its settings, and the remote that they name.

    ``prefix`` is the working folder inside the project.
    """

    root: Path
    store: DirectoryStore
    remotes: ExitStack
    """Closes the opened remotes."""
    prefix: str = ""

    def setting(self, name: str) -> str:
        """Return a stored setting, or an empty string."""
        return self.store.get_setting(name) or ""

    def limits(self, settings: Sequence[str] = ()) -> Limits:
        """Return the project's limits, overridden by those of the command line."""
        from towline.limits import Limits

        return Limits().with_settings([*self.setting("limits").split(), *settings])

    def content_mode(self, choice: str | None = None) -> ContentMode:
        """Return how contents are merged: as chosen, else as the project is configured."""
        from towline.content_rules import ContentMode

        return ContentMode(choice or self.setting("content_merge") or ContentMode.AUTO)

    def renames(self, choice: str | None = None) -> Renames:
        """Return which renames are found: as chosen, else as the project is configured."""
        from towline.options import Renames

        return Renames(choice or self.setting("renames") or Renames.SIMILAR)

    @property
    def fetched(self) -> Revision | None:
        """The last fetched revision."""
        from towline.model import Revision

        return Revision(self.setting("fetched")) if self.setting("fetched") else None

    def remote(self, given: Credential | None = None) -> GitRemote:
        """The remote of the project; ``given`` is a credential for this call alone."""
        from .git_config import has_credential_helper, resolve_url, start_reading

        url = self.setting("url")
        if not url:
            raise NotAssociated(project=str(self.root))
        settings_of_git = start_reading()
        from towline.remotes.git import GitRemote

        from .credentials import credentials

        settings = settings_of_git()
        address, environment = resolve_url(url, settings)
        remote = GitRemote(
            address,
            ref=self.setting("ref") or None,
            scope=self.setting("scope"),
            cache=self.store.cache_path,
            # A credential from the URL is for that address only.
            credentials=credentials(
                given if address == url else None, helpers=has_credential_helper(settings, address)
            ),
            environment=environment,
            trusts=trusts(self.root),
        )
        return self.remotes.enter_context(remote)

    def fetch(self, remote: GitRemote, limits: Limits, watch: Watch) -> Revision:
        """Fetch the ref's current revision, and store it for `status`."""
        from towline.ports import Phase

        watch.report(Phase.FETCHING, 0)
        revision = remote.fetch(None, limits, watch)
        if revision != self.fetched:
            # Another process is pulling, and stores what it fetches.
            with suppress(StoreBusy):
                self.store.set_setting("fetched", revision)
        return revision

    def commits_behind(self, base: Revision | None) -> Sequence[Commit] | None:
        """Return the fetched commits that the last pulled revision does not have, newest first.

        Without the network. None where nothing was fetched or pulled, or the history is not here.
        """
        from towline.errors import InvalidTree

        if base is None or self.fetched is None:
            return None
        if base == self.fetched:
            return ()
        try:
            return self.remote().commits(base, self.fetched)
        except InvalidTree:
            return None

    def logged(self, number: int) -> LoggedPull:
        """Return the pull of this number in the log.

        Raises:
            UnknownPull: there is none.
        """
        for entry in self.store.log():
            if entry.number == number:
                return entry
        raise UnknownPull(pull=number)

    def contents_for(self, plan: Plan, watch: Watch) -> Contents | None:
        """Where a plan that was read from a file finds contents; others know."""
        if plan.source is not None or not plan.needed() or plan.revision is None:
            return None
        remote = self.remote()
        remote.fetch(plan.revision, self.limits(), watch)
        return remote

    def reader(self, remote: GitRemote | None = None) -> ReadContent:
        """Return a function that reads the bytes of the store, or of what was fetched."""
        from towline.errors import ContentMissing, RemoteError

        remote = remote or self.remote()

        def read(digest: Digest) -> bytes | None:
            if (content := self.store.read(digest)) is not None:
                return content
            try:
                return next(content for _, content in remote.contents([digest]))
            except (ContentMissing, RemoteError):
                return None

        return read

    def status(self, watch: Watch, *, unchanged: bool = True) -> ProjectStatus:
        """Return the state of every asset, without the network; unchanged ones may be left out."""
        from towline.options import PullOptions
        from towline.status import Listed, status

        remote = self.remote() if self.fetched is not None else None
        options = PullOptions(
            content_merge=self.content_mode(), renames=self.renames(), limits=self.limits()
        )
        listed = Listed.ALL if unchanged else Listed.CHANGED
        return status(self.store, remote, self.fetched, options=options, listed=listed, watch=watch)
