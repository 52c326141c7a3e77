"""Reads what an HTTP remote advertises in protocol 0, where a library would follow redirects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from towline.errors import UnsupportedRemote

from .conversation import Conversation
from .git_failures import ADVERTISEMENT, SHA256, not_smart
from .http_talk import HttpTalk

_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertised:
    """The refs of a remote, peeled tags among them, and the branch that its HEAD names."""

    refs: dict[str, str]
    head: str | None


def ask_refs(http: HttpTalk, talk: Conversation) -> Advertised:
    """Ask a smart HTTP remote for all its refs, in one request.

    Raises:
        UnsupportedRemote: its objects are of sha256.
        RemoteRefused: the answer is not Git's.
    """
    address = f"{talk.url.address.rstrip('/')}/info/refs?service=git-upload-pack"
    response = http.request(address, {"Accept": "*/*"}, None)
    form = response.headers.get("Content-Type", "")
    data = http.read(_MAX_BYTES)
    try:
        if form != ADVERTISEMENT:
            raise ValueError("not smart")
        return _parse(list(_lines(data)), talk)
    except ValueError:
        raise not_smart(talk) from None


def _lines(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = int(data[at : at + 4], 16)
        if size >= 4:
            yield data[at + 4 : at + size].rstrip(b"\n")
        at += max(size, 4)


def _parse(lines: list[bytes], talk: Conversation) -> Advertised:
    if not lines or lines[0] != b"# service=git-upload-pack":
        raise ValueError("no service line")
    refs: dict[str, str] = {}
    capabilities: list[str] = []
    for line in lines[1:]:
        text, nul, more = line.partition(b"\0")
        if nul:
            capabilities = more.decode("utf-8", "replace").split()
        oid, _, name = text.decode("utf-8", "replace").partition(" ")
        if name != "capabilities^{}":
            refs[name] = oid
    formats = [c for c in capabilities if c.startswith("object-format=")]
    if formats not in ([], ["object-format=sha1"]):
        raise UnsupportedRemote(url=talk.url.shown, detail=SHA256)
    heads = [c.removeprefix("symref=HEAD:") for c in capabilities if c.startswith("symref=HEAD:")]
    return Advertised(refs=refs, head=heads[0] if heads and "HEAD" in refs else None)
