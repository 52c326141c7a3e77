"""Talks to a remote through pygit2: in this process, over protocol 0.

libgit2 keeps its time-outs and CA files for the whole process, cannot be stopped while a remote
is silent, and unpacks whatever a pack declares; so nothing chooses this half by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pygit2
from pygit2.enums import CredentialType

from towline.errors import (
    AuthenticationFailed,
    RedirectRefused,
    RemoteError,
    RemoteRefused,
    RemoteTimeout,
    RemoteUnavailable,
    UnsupportedRemote,
)
from towline.model import Revision
from towline.ports import Phase

from .advertisement import Advertised, ask_refs
from .arrivals import arrived, is_here
from .cache import Cache
from .conversation import Conversation, PackTooLarge, cleaned
from .git_failures import SHA256, RefMissing, Unexplained, http_error
from .http_talk import HttpTalk
from .pygit2_read import Pygit2Reader
from .refs import WantedRef

T = TypeVar("T")

# Of libgit2's enumerations: pygit2 names neither.
_REDIRECT_NONE = 1
_NO_TAGS = 3

_NOT_GIVEN = re.compile(
    r"not our ref|not advertised|unadvertised|cannot fetch a specific object"
    r"|target OID for the reference doesn't exist"
)
_BY_MESSAGE: tuple[tuple[str, type[RemoteError], str], ...] = (
    (r"timed out|timeout", RemoteTimeout, "it stayed silent for longer than the limits allow"),
    (
        r"[Ff]ailed to connect|could not connect|failed to resolve|[Cc]onnection refused",
        RemoteUnavailable,
        "",
    ),
    (
        r"EOF|[Cc]onnection|[Ss]ocket error|unexpectedly|could not read|error receiving|incomplete",
        RemoteUnavailable,
        "the connection was cut",
    ),
    (r"SSL|certificate|TLS", RemoteUnavailable, ""),
    (
        r"could not find repository|not found|failed to resolve path|unsupported URL",
        RemoteRefused,
        "there is no Git repository; check the address",
    ),
    (r"authentication|credentials|no callback", AuthenticationFailed, "it did not take ours"),
)


class _Callbacks(pygit2.RemoteCallbacks):
    """Bounds and follows one talk; offers the credential once."""

    def __init__(self, talk: Conversation) -> None:
        super().__init__()
        self._talk = talk
        self._asked = False

    @property
    def fetch_options(self) -> Any:
        """libgit2's options, as pygit2 hands them over before it uses them."""
        return self._options

    @fetch_options.setter
    def fetch_options(self, options: Any) -> None:
        options.follow_redirects = _REDIRECT_NONE
        options.download_tags = _NO_TAGS
        options.update_fetchhead = 0
        self._options = options

    def credentials(
        self,
        url: str,  # noqa: ARG002 - the base's signature
        username_from_url: str | None,
        allowed_types: CredentialType,
    ) -> Any:
        if self._asked:  # libgit2 asks again and again; the same answer would stay wrong
            raise self._refused()
        self._asked = True
        if allowed_types & CredentialType.SSH_KEY and username_from_url:
            return pygit2.KeypairFromAgent(username_from_url)
        raise self._refused()  # that for HTTP went along from the start

    def _refused(self) -> AuthenticationFailed:
        detail = "it wants credentials, or did not take those it got"
        return AuthenticationFailed(url=self._talk.url.shown, detail=detail)

    def custom_headers(self) -> list[str] | None:
        if self._talk.credential is None or not self._talk.url.is_http:
            return None
        return [f"Authorization: {self._talk.credential.basic}"]

    def sideband_progress(self, string: str) -> None:  # noqa: ARG002 - the base's signature
        self._talk.watch.check()

    def transfer_progress(self, stats: Any) -> None:
        if stats.received_bytes > self._talk.limits.pack_bytes:
            raise PackTooLarge
        self._talk.watch.report(Phase.FETCHING, stats.received_objects, stats.total_objects)


class Pygit2Fetcher:
    """Fetches with pygit2."""

    def __init__(self, cache: Cache, environment: Mapping[str, str]) -> None:
        self._cache = cache
        self._environment = environment

    def refs(self, wanted: WantedRef, talk: Conversation) -> Mapping[str, str]:
        found = self._advertised(talk).refs
        if not any(name in found for name in wanted.names):
            return found
        return {name: oid for name, oid in found.items() if name in wanted.patterns}

    def head(self, talk: Conversation) -> str | None:
        return self._advertised(talk).head

    def fetch(self, wanted: WantedRef, talk: Conversation, depth: int | None) -> Revision:
        name, oid = self._chosen(wanted, talk)
        tip = self._cache.tip_name(talk.url.address, name)
        # libgit2 would take a tag under refs/heads/ for a damaged branch.
        target = tip if name.startswith("refs/heads/") else tip.replace("/heads/", "/", 1)

        def bring(remote: pygit2.Remote, calls: _Callbacks) -> None:
            stats = remote.fetch([f"+{name}:{target}"], callbacks=calls, depth=depth or 0)
            talk.traffic.bytes_down += stats.received_bytes

        if depth is not None or not is_here(self._reader, oid):
            try:
                self._within(talk, bring)
            except RefMissing:
                if wanted.commit is None:
                    raise Unexplained("it lacks what it advertises") from None
                raise wanted.missing(talk.url.shown, empty=False) from None
        revision = arrived(self._reader, oid)
        self._cache.set_tip(tip, revision)
        return revision

    def _reader(self) -> Pygit2Reader:
        return Pygit2Reader(self._cache)

    def _chosen(self, wanted: WantedRef, talk: Conversation) -> tuple[str, str]:
        found = self._advertised(talk).refs
        if wanted.commit is None:
            name, _ = wanted.choose(talk.url.shown, found)
            return name, found[name]
        # Protocol 0 gives out advertised commits for certain, others where the server lets it.
        names = (name for name, oid in found.items() if oid == wanted.commit and "^" not in name)
        return next(names, wanted.commit), wanted.commit

    def _advertised(self, talk: Conversation) -> Advertised:
        if talk.url.is_http:
            with HttpTalk(talk, self._environment) as http:
                return ask_refs(http, talk)
        return self._within(talk, _listed)

    def _within(self, talk: Conversation, action: Callable[[pygit2.Remote, _Callbacks], T]) -> T:
        """Carry out a talk; whatever libgit2 raises leaves here as one of ours."""
        self._settle(talk)
        talk.watch.check()
        try:
            repository = pygit2.Repository(str(self._cache.path))
            try:
                remote = repository.remotes.create_anonymous(talk.url.address)
                return action(remote, _Callbacks(talk))
            finally:
                repository.free()
        except (pygit2.GitError, KeyError, ValueError, OSError) as error:
            raise _failure(str(error), talk) from None

    def _settle(self, talk: Conversation) -> None:
        pygit2.settings.server_connect_timeout = talk.limits.connect_seconds * 1000
        pygit2.settings.server_timeout = talk.limits.idle_seconds * 1000
        environment = self._environment
        authorities = environment.get("GIT_SSL_CAINFO") or environment.get("SSL_CERT_FILE")
        if authorities:
            pygit2.settings.set_ssl_cert_locations(authorities, None)


def _listed(remote: pygit2.Remote, calls: _Callbacks) -> Advertised:
    heads = remote.list_heads(callbacks=calls)
    found = {head.name: str(head.oid) for head in heads if head.name is not None}
    symrefs = (head.symref_target for head in heads if head.name == "HEAD")
    return Advertised(refs=found, head=next(symrefs, None))


def _failure(text: str, talk: Conversation) -> Exception:
    shown = talk.url.shown
    if "redirect" in text or re.search(r"http status code: 3\d\d", text):
        return RedirectRefused(url=shown, detail="it redirects, which is not followed")
    if match := re.search(r"http status code: (\d+)", text):
        return http_error(int(match[1]), shown)
    if re.search(r"object[- ]format|sha256", text):
        return UnsupportedRemote(url=shown, detail=SHA256)
    if _NOT_GIVEN.search(text):
        return RefMissing()
    if "shallow fetch is not supported" in text:
        return PackTooLarge()  # only tried when all of the history was too large
    if "object not found" in text:  # in the cache, that is
        return Unexplained(cleaned(text))
    for pattern, kind, detail in _BY_MESSAGE:
        if re.search(pattern, text):
            return kind(url=shown, detail=detail or cleaned(text))
    return Unexplained(cleaned(text))
