"""The formats that are merged by structure: how each is parsed, and edited in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from towline.content.decision import Merge
from towline.content.json_edit import edit_json
from towline.content.json_values import parse_json
from towline.content.values import Document
from towline.frozen import frozen


@frozen(kw_only=True)
class FileFormat:
    """One format.

    ``parse`` raises `NotParsed` for what is not of it. ``edit`` returns the bytes of ours with a
    decided merge applied, or None where it cannot. ``has_comments``: merged lines keep them,
    so they are preferred where they say the same.
    """

    name: str
    parse: Callable[[bytes], Document]
    edit: Callable[[Any, Any, Merge], bytes | None]
    has_comments: bool


_JSON = FileFormat(name="json", parse=parse_json, edit=edit_json, has_comments=False)


def formats_of(path: str, content: bytes) -> Iterator[FileFormat]:
    """Yield the formats that a file may be of: JSON by how it begins, the others by its name."""
    if content[:200].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        yield _JSON
    if path.endswith((".yaml", ".yml")):
        from towline.content.yaml_edit import edit_yaml
        from towline.content.yaml_values import parse_yaml

        yield FileFormat(name="yaml", parse=parse_yaml, edit=edit_yaml, has_comments=True)
    if path.endswith(".toml"):
        from towline.content.toml import edit_toml, parse_toml

        yield FileFormat(name="toml", parse=parse_toml, edit=edit_toml, has_comments=True)
