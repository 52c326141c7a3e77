"""Reads a kinds file (TOML, or JSON or YAML by its name): what is an asset, and of which kind.

docs/kinds.md is its reference. Every problem in a file is reported at once, with its line.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

from towline.content_rules import ContentMode, FieldRule
from towline.errors import InvalidValue
from towline.frozen import frozen
from towline.globs import pattern
from towline.kinds import Kinds
from towline.presets import PRESET_PREFIX, load_preset

_KEYS = ("kinds", "hidden")
_KIND_KEYS = ("name", "globs", "id_pointer", "merge", "identity", "unordered", "fields")
_EXAMPLE = 'such as globs = ["pipelines/**/*.json"]'


@frozen
class _Document:
    """A file's value. ``line`` returns the line of a kind (None: the file) and of a key in it."""

    value: Any
    line: Callable[[int | None, str], int]


_Problem: TypeAlias = tuple[int, str]
"""A line and what is wrong there."""


def find_kinds(name: str) -> Kinds:
    """Return the kinds of a file, or of a preset as ``preset:NAME``.

    Raises:
        InvalidValue: there is no such preset, or it is no kinds file (`read_kinds`).
    """
    if not name.startswith(PRESET_PREFIX):
        return read_kinds(Path(name))
    return load_preset(name.removeprefix(PRESET_PREFIX))


def read_kinds(path: Path) -> Kinds:
    """Return the kinds that a file describes.

    Raises:
        InvalidValue: it is no kinds file; the error has the line and the fix of every problem.
    """
    document = _document(path)
    named = document.value.get("kinds") if isinstance(document.value, Mapping) else None
    if isinstance(named, str) and named.startswith(PRESET_PREFIX):
        return find_kinds(named)
    if problems := sorted(_problems(document), key=itemgetter(0)):
        (first, problem), *others = problems
        texts = [problem, *(f"line {line}: {text}" for line, text in others)]
        raise InvalidValue(field=f"{path}:{first}", problem="; ".join(texts))
    return Kinds.from_document(document.value)


# --- what is wrong ----------------------------------------------------------------------------


def _problems(document: _Document) -> Iterator[_Problem]:
    value = document.value
    if not isinstance(value, Mapping):
        yield 1, "the file must have the key kinds, and may have the key hidden"
        return
    yield from _unknown_keys(document, value, _KEYS, None)
    if not isinstance(value.get("hidden", False), bool):
        yield document.line(None, "hidden"), "hidden must be true or false"
    kinds = value.get("kinds")
    if not isinstance(kinds, list) or not kinds:
        problem = "kinds is missing or empty: list kinds, each with a name and globs"
        yield document.line(None, "kinds"), problem
        return
    names: set[str] = set()
    for number, entry in enumerate(kinds):
        if not isinstance(entry, Mapping):
            yield document.line(number, ""), "a kind must have the keys name and globs"
            continue
        yield from _unknown_keys(document, entry, _KIND_KEYS, number)
        yield from _kind_problems(document, entry, number, names)


def _kind_problems(
    document: _Document, entry: Mapping[str, Any], number: int, names: set[str]
) -> Iterator[_Problem]:
    name, globs, pointer = entry.get("name"), entry.get("globs"), entry.get("id_pointer")
    kind = f"the kind {name!r}" if isinstance(name, str) else "the kind"
    here = partial(document.line, number)
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        yield here("name"), "a kind needs a name of 1 to 100 characters"
    elif name in names:
        yield here("name"), f"the kind {name!r} is defined twice: put its globs into one list"
    else:
        names.add(name)
    if not isinstance(globs, list) or not globs:
        yield here("globs"), f"{kind} needs a list of globs, {_EXAMPLE}"
    else:
        for glob in globs:
            if problem := _glob_problem(glob):
                yield here("globs"), f"{kind}: {problem}"
    if pointer is not None and not _is_pointer(pointer):
        yield here("id_pointer"), f'{kind}: id_pointer must be a JSON pointer, such as "/id"'
    for key, check, form in _CONTENT_KEYS:
        if key in entry and not check(entry[key]):
            yield here(key), f"{kind}: {key} must {form}"


def _is_pointer(value: object) -> bool:
    return isinstance(value, str) and (not value or value.startswith("/"))


def _is_table(value: object, of: Callable[[object], bool]) -> bool:
    return isinstance(value, Mapping) and all(
        _is_pointer(place) and of(item) for place, item in value.items()
    )


_CONTENT_KEYS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "merge",
        lambda value: value in list(ContentMode),
        f"be one of {', '.join(ContentMode)}",
    ),
    (
        "identity",
        lambda value: _is_table(value, lambda key: isinstance(key, str) and key != ""),
        'map JSON pointers of lists to the key of their elements, such as {"/steps" = "id"}',
    ),
    (
        "unordered",
        lambda value: isinstance(value, list) and all(_is_pointer(place) for place in value),
        'be a list of JSON pointers, such as ["/tags"]',
    ),
    (
        "fields",
        lambda value: _is_table(value, lambda rule: rule in list(FieldRule)),
        f'map JSON pointers to one of {", ".join(FieldRule)}, such as {{"/version" = "larger"}}',
    ),
)


def _glob_problem(glob: object) -> str:
    if not isinstance(glob, str) or not glob:
        return f"the glob {glob!r} must be a string, and not empty"
    try:
        pattern(glob)
    except InvalidValue as error:
        return error.problem
    return ""


def _unknown_keys(
    document: _Document, entry: Mapping[str, Any], known: tuple[str, ...], number: int | None
) -> Iterator[_Problem]:
    for key in entry:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            fix = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}"
            yield document.line(number, str(key)), f"unknown key {key!r}: {fix}"


# --- reading ----------------------------------------------------------------------------------


class _Unreadable(ValueError):
    """The file is not of its format; ``line`` is where, if that is known."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


def _document(path: Path) -> _Document:
    read = _READERS.get(path.suffix.lower(), _toml)
    try:
        return read(path.read_bytes().decode())
    except OSError as error:
        raise InvalidValue(field=str(path), problem=f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidValue(field=str(path), problem="is not UTF-8") from None
    except RecursionError:
        raise InvalidValue(field=str(path), problem="is nested too deep") from None
    except _Unreadable as error:
        where = str(path) if error.line is None else f"{path}:{error.line}"
        raise InvalidValue(field=where, problem=str(error)) from None


def _toml(text: str) -> _Document:
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, _, place = str(error).rpartition(" (at ")
        at_line = re.match(r"line (\d+)", place)
        line = int(at_line[1]) if at_line else text.rstrip().count("\n") + 1
        raise _Unreadable(problem, line) from None
    headers = re.finditer(r"^[ \t]*\[\[[ \t]*kinds[ \t]*\]\]", text, re.MULTILINE)
    return _Document(value, _LineFinder(text, [match.start() for match in headers], r"^[ \t]*{}\b"))


def _json(text: str) -> _Document:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise _Unreadable(error.msg, error.lineno) from None
    starts: list[int] = []
    array = re.search(r'"kinds"\s*:\s*\[', text)
    if array is not None and isinstance(value, dict) and isinstance(value.get("kinds"), list):
        position = array.end()
        for _ in value["kinds"]:
            while text[position] in " \t\r\n,":
                position += 1
            starts.append(position)
            _, position = json.JSONDecoder().raw_decode(text, position)
    return _Document(value, _LineFinder(text, starts, r'"{}"\s*:'))


@frozen
class _LineFinder:
    """Finds lines in a text: ``starts`` of its kinds, and a pattern for a key."""

    text: str
    starts: list[int]
    key: str

    def __call__(self, number: int | None, key: str) -> int:
        begin, end = 0, len(self.text)
        if number is not None and number < len(self.starts):
            begin = self.starts[number]
            end = [*self.starts, end][number + 1]
        elif number is not None:
            key = "kinds"
        pattern = re.compile(self.key.format(re.escape(key)), re.MULTILINE)
        found = pattern.search(self.text, begin, end) if key else None
        return self.text.count("\n", 0, found.start() if found else begin) + 1


def _yaml(text: str) -> _Document:
    import yaml

    try:
        value, root = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise _Unreadable(
            error.problem or "is not valid YAML", mark.line + 1 if mark is not None else None
        ) from None
    except (yaml.YAMLError, ValueError):
        raise _Unreadable("is not valid YAML") from None
    _refuse_doubled_keys(root)

    def line(number: int | None, key: str) -> int:
        entry: Any = root
        if number is not None:
            entry = next(item for name, item in entry.value if name.value == "kinds").value[number]
        members = entry.value if isinstance(entry, yaml.MappingNode) else []
        found = next((name for name, _ in members if name.value == key), entry)
        return int(found.start_mark.line) + 1 if found is not None else 1

    return _Document(value, line)


def _refuse_doubled_keys(node: Any) -> None:
    """Refuse a mapping that has a key twice: PyYAML takes the last."""
    if node is None or isinstance(node.value, str):
        return
    pairs = node.value if node.id == "mapping" else [(None, item) for item in node.value]
    names: set[str] = set()
    for key, item in pairs:
        if key is not None and key.value in names:
            problem = f"has the key {key.value!r} twice"
            raise _Unreadable(problem, key.start_mark.line + 1)
        names.add(key.value if key is not None else "")
        _refuse_doubled_keys(item)


_READERS: dict[str, Callable[[str], _Document]] = {".json": _json, ".yaml": _yaml, ".yml": _yaml}
