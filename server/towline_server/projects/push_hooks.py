"""Owns what the hosts' push webhooks look like: who signs how, and which refs a push moved.

A signature is checked over the bytes as they came, in constant time, before anything reads them.
The forms are those of the hosts' own documentation; a connection's provider says which one counts,
so that no one chooses a weaker one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from tempfile import SpooledTemporaryFile
from types import MappingProxyType
from typing import Any, Self

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline.limits import MIB
from towline.remotes.url import WantedRef

from .domain import Provider

_CHUNK = 64 * 1024
_MOST_EVENTS = 2_000_000
"""Tokens of a body; a host's are several bytes long on average."""
_MOST_MEMBERS = 100_000
_MEMBERS = frozenset(
    {
        "after",
        "changes",
        "default_branch",
        "deleted",
        "id",
        "name",
        "new",
        "project",
        "push",
        "ref",
        "repository",
        "type",
    }
)
"""What `towline_server.projects.push_hooks` reads of any host's payload, at any depth."""


class HookBody:
    """A webhook's body, in memory up to a mebibyte and else in a temporary file."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=MIB)  # noqa: SIM115 - closed by `close`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, chunk: bytes) -> None:
        """Append what came next."""
        self._file.write(chunk)

    def chunks(self) -> Iterator[bytes]:
        """The whole body, in parts."""
        self._file.seek(0)
        return iter(lambda: self._file.read(_CHUNK), b"")

    def members(self) -> Any:
        """The body's JSON, of its objects' members only those that say what was pushed.

        Raises:
            ValueError: it is no JSON, or too much of it.
            RecursionError: it is nested too deep.
        """
        import ijson

        self._file.seek(0)
        tokens = islice(ijson.basic_parse(self._file, use_float=True), _MOST_EVENTS)
        try:
            found = _MemberReader(tokens).next_value()
            next(tokens, None)  # nothing may follow
        except ijson.JSONError as error:
            raise ValueError(str(error)) from None
        return found


class _MemberReader:
    """Builds values of tokens, without the members that do not matter."""

    def __init__(self, tokens: Iterator[tuple[str, Any]]) -> None:
        self._tokens = tokens
        self._left = _MOST_MEMBERS

    def next_value(self) -> Any:
        """The value that begins with the next token. Raises ValueError where it does not end."""
        return self._value(*self._next())

    def _value(self, event: str, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("has too many members")
        if event == "start_map":
            return dict(self._object())
        if event == "start_array":
            return list(self._array())
        return value

    def _object(self) -> Iterator[tuple[str, Any]]:
        while (token := self._next())[0] != "end_map":
            first = self._next()
            if token[1] in _MEMBERS:
                yield token[1], self._value(*first)
            else:
                self._skip(first[0])

    def _array(self) -> Iterator[Any]:
        while (token := self._next())[0] != "end_array":
            yield self._value(*token)

    def _skip(self, event: str) -> None:
        depth = int(event.startswith("start_"))
        while depth:
            event = self._next()[0]
            depth += event.startswith("start_") - event.startswith("end_")

    def _next(self) -> tuple[str, Any]:
        token = next(self._tokens, None)
        if token is None:
            raise ValueError("is too long")
        return token


@frozen(kw_only=True)
class PushedRef:
    """A ref that a push made or moved."""

    name: str
    """In full: ``refs/heads/main``."""
    default_branch: str | None = None
    """What the repository's HEAD names, where the host says so."""

    def is_meant_by(self, ref: str) -> bool:
        """Whether a binding to a ref follows this one."""
        wanted = WantedRef.parse(ref)
        if wanted.names != ("HEAD",):
            return self.name in wanted.names
        if self.default_branch is None:
            return self.name.startswith("refs/heads/")
        return self.name == f"refs/heads/{self.default_branch}"


Check = Callable[[str, str, HookBody], bool]
"""Whether what a header gives fits a secret and a body."""
ReadRefs = Callable[[Mapping[str, Any]], Iterator[PushedRef]]


@frozen(kw_only=True)
class HookForm:
    """How one sort of host calls: in which headers, and with which payload."""

    signature: str
    check: Check
    event: str
    pushes: frozenset[str]
    """The events that are pushes; others are taken and ignored."""
    delivery: tuple[str, ...]
    """What the host calls this call, in the first of these that is there."""
    signs_delivery: bool
    """Whether who knows the secret vouches for that name, too."""
    refs: ReadRefs

    def replay_key(self, delivery: str, body: HookBody) -> str:
        """The same for a call that is sent again, whatever a replaying stranger can alter of it."""
        signed = delivery.encode() if self.signs_delivery else b""
        digest = hashlib.sha256(signed + b"\0")
        for chunk in body.chunks():
            digest.update(chunk)
        return "hook:" + digest.hexdigest()

    def pushed(self, body: HookBody) -> tuple[PushedRef, ...]:
        """The refs that a push's payload names, without those that it deleted.

        Raises:
            InvalidValue: it is no such payload.
        """
        try:
            return tuple(self.refs(body.members()))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise InvalidValue(
                field="body", problem="is not a push of this host, as JSON"
            ) from None


# --- signatures -------------------------------------------------------------------------------


def _signed(given: str, secret: str, body: HookBody) -> bool:
    wanted = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    for chunk in body.chunks():
        wanted.update(chunk)
    return hmac.compare_digest(given.encode(), wanted.hexdigest().encode())


def _signed_with_name(given: str, secret: str, body: HookBody) -> bool:
    name, _, signature = given.partition("=")
    return _signed(signature, secret, body) and name == "sha256"


def _same_token(given: str, secret: str, _body: HookBody) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())


# --- payloads ---------------------------------------------------------------------------------


def _one_ref(payload: Mapping[str, Any]) -> Iterator[PushedRef]:
    """GitHub, Gitea and GitLab: one ref a call; a deleted one has no commit after it."""
    if payload.get("deleted") is True or not str(payload["after"]).strip("0"):
        return
    about = payload.get("repository") or {}
    project = payload.get("project") or {}
    default = project.get("default_branch") or about.get("default_branch")
    yield PushedRef(name=_text(payload["ref"]), default_branch=default and _text(default))


def _bitbucket(payload: Mapping[str, Any]) -> Iterator[PushedRef]:
    """Bitbucket Cloud names what is new; Bitbucket Server each ref and what became of it."""
    if "push" in payload:
        for change in payload["push"]["changes"]:
            if (new := change["new"]) is not None:
                folder = "tags" if new["type"] == "tag" else "heads"
                yield PushedRef(name=f"refs/{folder}/{_text(new['name'])}")
        return
    for change in payload["changes"]:
        if change["type"] != "DELETE":
            yield PushedRef(name=_text(change["ref"]["id"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


# --- forms ------------------------------------------------------------------------------------

_GITHUB = HookForm(
    signature="X-Hub-Signature-256",
    check=_signed_with_name,
    event="X-GitHub-Event",
    pushes=frozenset({"push"}),
    delivery=("X-GitHub-Delivery",),
    signs_delivery=False,
    refs=_one_ref,
)

FORMS: Mapping[Provider, HookForm] = MappingProxyType(
    {
        Provider.GITHUB: _GITHUB,
        # What most other hosts imitate.
        Provider.GIT: _GITHUB,
        Provider.GITLAB: HookForm(
            signature="X-Gitlab-Token",
            check=_same_token,
            event="X-Gitlab-Event",
            pushes=frozenset({"Push Hook", "Tag Push Hook"}),
            delivery=("X-Gitlab-Event-UUID",),
            # A token is no signature: it vouches for whatever comes with it.
            signs_delivery=True,
            refs=_one_ref,
        ),
        Provider.GITEA: HookForm(
            signature="X-Gitea-Signature",
            check=_signed,
            event="X-Gitea-Event",
            pushes=frozenset({"push"}),
            delivery=("X-Gitea-Delivery",),
            signs_delivery=False,
            refs=_one_ref,
        ),
        Provider.BITBUCKET: HookForm(
            signature="X-Hub-Signature",
            check=_signed_with_name,
            event="X-Event-Key",
            pushes=frozenset({"repo:push", "repo:refs_changed"}),
            delivery=("X-Request-UUID", "X-Request-Id"),
            signs_delivery=False,
            refs=_bitbucket,
        ),
    }
)
"""Azure DevOps signs nothing, and takes part by schedules alone."""
