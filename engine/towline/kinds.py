"""What is an asset, and of which kind: configured globs over the path, first match wins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from hashlib import sha256
from typing import Any, Self

from towline.content_rules import ContentMode, ContentRules, FieldRule
from towline.errors import InvalidValue
from towline.frozen import frozen
from towline.globs import pattern


@frozen(kw_only=True)
class Kind:
    """What a platform calls some of its assets: ``pipeline``, ``rule``, ``task``.

    ``id_pointer`` is a JSON pointer (RFC 6901) to an id inside the asset, if any.
    ``data_type`` is another name of the kind, for clients of the control plane that need one.
    ``content`` says how their contents are merged.
    """

    name: str
    globs: tuple[str, ...]
    id_pointer: str | None = None
    data_type: str | None = None
    content: ContentRules = ContentRules()


@frozen
class Kinds:
    """The kinds of a project, in order of precedence.

    ``hidden`` says whether names, or folders, that start with a dot can be assets.
    """

    kinds: tuple[Kind, ...] = (Kind(name="file", globs=("**",)),)
    hidden: bool = False
    _cache: dict[str, Kind | None] = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )
    _patterns: tuple[tuple[re.Pattern[str], ...], ...] = field(
        default=(), init=False, repr=False, compare=False, hash=False
    )
    """Of each kind, in their order."""

    def __post_init__(self) -> None:
        names = [kind.name for kind in self.kinds]
        if len(set(names)) != len(names):
            raise InvalidValue(field="kinds", problem="a name is used twice")
        types = [kind.data_type or kind.name for kind in self.kinds]
        if len(set(types)) != len(types):
            raise InvalidValue(field="kinds", problem="two kinds have the same data type")
        for kind in self.kinds:
            pointer = kind.id_pointer
            if not kind.name or not kind.globs or not all(kind.globs):
                raise InvalidValue(field=f"kinds.{kind.name}", problem="needs a name and a glob")
            if pointer is not None and pointer and not pointer.startswith("/"):
                raise InvalidValue(
                    field=f"kinds.{kind.name}.id_pointer",
                    problem=f"{pointer!r} is not a JSON pointer",
                )

        patterns = tuple(tuple(pattern(glob) for glob in kind.globs) for kind in self.kinds)
        object.__setattr__(self, "_patterns", patterns)

    def of(self, path: str) -> Kind | None:
        """Return the kind of the asset at this path, or None where no asset can be."""
        if path not in self._cache:
            self._cache[path] = self._find(path)
        return self._cache[path]

    def _find(self, path: str) -> Kind | None:
        if not self.hidden and (path.startswith(".") or "/." in path):
            return None
        for kind, patterns in zip(self.kinds, self._patterns, strict=True):
            if any(each.fullmatch(path) for each in patterns):
                return kind
        return None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the kinds of a document that has the keys of a kinds file (docs/kinds.md).

        Raises:
            InvalidValue: a kind, or what it says of contents, makes no sense.
            KeyError, TypeError, ValueError: the document does not have their form.
        """
        kinds = tuple(_kind(entry) for entry in document["kinds"])
        return cls(kinds, hidden=document.get("hidden", False))

    def to_document(self) -> dict[str, Any]:
        """Return the document that `from_document` takes."""
        return {"kinds": [_entry(kind) for kind in self.kinds], "hidden": self.hidden}

    @property
    def fingerprint(self) -> str:
        """A text that changes whenever the same tree could give other assets."""
        spec = repr((self.hidden, [(k.name, k.globs, k.id_pointer) for k in self.kinds]))
        return _hash(spec)

    @property
    def content_fingerprint(self) -> str:
        """A text that changes whenever the same contents could merge otherwise; empty: no rules.

        It is not part of `fingerprint`, a change of which has the next pull compare every asset.
        """
        rules = [(kind.name, kind.content) for kind in self.kinds if kind.content != _NO_RULES]
        return _hash(repr(rules)) if rules else ""


_NO_RULES = ContentRules()


def _hash(spec: str) -> str:
    return sha256(spec.encode()).hexdigest()[:16]


def _kind(entry: Mapping[str, Any]) -> Kind:
    return Kind(
        name=entry["name"],
        globs=tuple(entry["globs"]),
        id_pointer=entry.get("id_pointer"),
        data_type=entry.get("data_type"),
        content=ContentRules(
            mode=ContentMode(entry["merge"]) if "merge" in entry else None,
            identity=tuple(entry.get("identity", {}).items()),
            unordered=tuple(entry.get("unordered", ())),
            fields=tuple(
                (place, FieldRule(rule)) for place, rule in entry.get("fields", {}).items()
            ),
        ),
    )


def _entry(kind: Kind) -> dict[str, Any]:
    content = kind.content
    optional = {
        "id_pointer": kind.id_pointer,
        "data_type": kind.data_type,
        "merge": None if content.mode is None else str(content.mode),
        "identity": dict(content.identity) or None,
        "unordered": list(content.unordered) or None,
        "fields": {place: str(rule) for place, rule in content.fields} or None,
    }
    return {
        "name": kind.name,
        "globs": list(kind.globs),
        **{key: value for key, value in optional.items() if value is not None},
    }
