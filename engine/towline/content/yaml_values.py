"""YAML as a merge compares it: nodes with their places in the text, and values of strict types.

YAML 1.1 and 1.2 read the same plain text differently (``no``, ``1e3``, ``0777``, dates). What both
read alike has its JSON value; any other plain text is compared as it is spelled, and differs from
the same text in quotes. So no merge depends on which version the reader of the file follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from towline.content.values import (
    STACK_DEPTH,
    Document,
    NotParsed,
    TooDeep,
    Unmergeable,
    Value,
    decode_text,
    parse_number,
)
from towline.frozen import frozen

_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_FRACTION = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_WORDS: dict[str, Value] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_CORE = "tag:yaml.org,2002:"
_STRING, _INT, _FLOAT = _CORE + "str", _CORE + "int", _CORE + "float"
_WORD_TAGS = (_CORE + "null", _CORE + "bool")
_NUMBER_TO_OTHERS = re.compile(r"0o[0-7]+|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
"""Text to PyYAML, which follows YAML 1.1, and a number to readers of YAML 1.2."""


@frozen(kw_only=True)
class YamlDocument(Document):
    """Parsed documents, with one value for all: that of several is a list.

    ``nodes`` are PyYAML's. ``shares_nodes``: an alias names one of them, so that places in the text
    are not each node's own.
    """

    nodes: tuple[Any, ...]
    shares_nodes: bool

    @property
    def is_stream(self) -> bool:
        """Whether it is not one document, so that its value is a list of documents."""
        return len(self.nodes) != 1


def parse_yaml(content: bytes) -> YamlDocument:
    """Parse a file of YAML documents. Raises `NotParsed`."""
    import yaml

    try:
        text, has_bom = decode_text(content)
        nodes = tuple(node for node in yaml.compose_all(text, _loader()))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError):
        raise NotParsed from None
    # An alias repeats what it names, so a few aliases of aliases would be millions of values.
    reader = _ValueReader(most=len(text) + 10_000)
    values = [reader.value(node, 0) for node in nodes]
    return YamlDocument(
        text=text,
        nodes=nodes,
        value=values[0] if len(values) == 1 else values,
        has_bom=has_bom,
        shares_nodes=reader.shares_nodes,
    )


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _ValueReader:
    def __init__(self, *, most: int) -> None:
        self._met: set[int] = set()
        self._left = most
        self.shares_nodes = False

    def value(self, node: Any, depth: int) -> Value:
        self._left -= 1
        if depth > STACK_DEPTH:
            raise TooDeep
        if self._left < 0:
            raise NotParsed
        if id(node) in self._met:
            self.shares_nodes = True
        self._met.add(id(node))
        match node.id:
            case "scalar":
                return _scalar(node)
            case "sequence":
                items = [self.value(item, depth + 1) for item in node.value]
                return items if node.tag == _CORE + "seq" else Unmergeable((node.tag, items))
            case _:
                return self._mapping(node, depth)

    def _mapping(self, node: Any, depth: int) -> Value:
        pairs = [
            (self.value(key, depth + 1), self.value(item, depth + 1)) for key, item in node.value
        ]
        found = {name: item for (name, _, _), (_, item) in zip(members(node), pairs, strict=True)}
        has_plain_keys = all(key.id == "scalar" for key, _ in node.value)
        if node.tag != _CORE + "map" or not has_plain_keys or len(found) < len(pairs):
            return Unmergeable((node.tag, pairs))
        return found


def key_text(node: Any) -> str:
    """Return the name of a mapping's key; one that is no plain word or text says its type, too."""
    if node.id != "scalar":
        return repr(node)
    value = _scalar(node)
    return value if isinstance(value, str) else f"({node.value})"


def _scalar(node: Any) -> Value:
    text, tag = node.value, node.tag
    if not tag.startswith(_CORE):
        return ("tagged", tag, text)
    if node.style:  # quoted, or a block
        return text if tag == _STRING else ("tagged", tag, text)
    # A tag that is written out differs from that of the plain text.
    if text in _WORDS and tag in _WORD_TAGS:
        return _WORDS[text]
    if (_WHOLE.fullmatch(text) and tag == _INT) or (_FRACTION.fullmatch(text) and tag == _FLOAT):
        return parse_number(text)
    if tag == _STRING:
        is_clear = text in _WORDS or not _NUMBER_TO_OTHERS.fullmatch(text)
        return text if is_clear else ("plain", text)
    if text in _WORDS or _WHOLE.fullmatch(text) or _FRACTION.fullmatch(text):
        return ("tagged", tag, text)
    # The tag is what YAML 1.1 makes of it.
    return ("plain", text)


def members(node: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the name, the key and the value of each member of a mapping."""
    for key, value in node.value:
        yield key_text(key), key, value
