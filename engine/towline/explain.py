"""The close view of one asset on its three sides: which fields differ, and which of them clash.

For people who choose a side; no merge is decided by it. JSON, YAML and TOML are compared field by
field, other text line by line, everything else by digest and size. In lists, elements are paired as
a merge pairs them: by identity where they have one, else by index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from towline.content import ContentOutcome, merge_added, merge_content
from towline.content.differences import FieldDifference, FieldDifferences, clash_of
from towline.content.fields import FieldMerge
from towline.content.formats import formats_of
from towline.content.values import ABSENT, NotParsed, TooDeep, shown
from towline.content_rules import ContentRules, MergedBy
from towline.frozen import frozen
from towline.model import AssetPath, AssetState, Digest, ThreeWay, first_path
from towline.records import ReadContent

MAX_FIELD_BYTES = 128 * 1024
"""A side. More is compared as text."""
MAX_TEXT_BYTES = 256 * 1024
"""A side. difflib takes about as long as that for 8,000 lines with scattered changes."""

SIDES: Mapping[str, str] = {"base": "base", "ours": "ours", "theirs": "theirs"}
"""The three sides, and their names."""


class Format(StrEnum):
    """How the contents were compared."""

    JSON = "json"
    YAML = "yaml"
    TOML = "toml"
    TEXT = "text"
    BINARY = "binary"
    DIGESTS_ONLY = "digests_only"
    """Not at all: too large, or missing here; ``note`` has the reason."""


@frozen(kw_only=True)
class LineDifference:
    """A unified diff from one side to another; both are named ``base``, ``ours`` or ``theirs``."""

    before: str
    after: str
    lines: tuple[str, ...]


@frozen(kw_only=True)
class Content:
    """The identity of an asset's content on one side; ``size`` (bytes) where it is known."""

    digest: Digest
    size: int | None


@frozen(kw_only=True)
class Explanation:
    """How an asset differs between its three sides.

    ``fields`` are those that differ; above `MAX_FIELD_BYTES` those that clash alone.
    ``paths`` and ``executable`` are given where they differ among the sides that have the asset.
    ``lines`` is for text, and for files whose fields are equal though the bytes are not. Where line
    ends are all that differs, ``note`` says so. ``merged_by`` is what merges the two sides, where
    both changed and the rules were given; ``taken`` is what it takes from theirs.
    """

    format: Format
    contents: ThreeWay[Content | None]
    fields: tuple[FieldDifference, ...] = ()
    lines: tuple[LineDifference, ...] = ()
    paths: ThreeWay[AssetPath | None] | None = None
    executable: ThreeWay[bool | None] | None = None
    note: str = ""
    merged_by: MergedBy | None = None
    taken: tuple[FieldMerge, ...] = ()


def explain(
    states: ThreeWay[AssetState | None], read: ReadContent, rules: ContentRules | None = None
) -> Explanation:
    """Compare an asset's sides, as closely as their size and form allow.

    ``read`` returns the bytes of a digest, or None where they are missing. ``rules`` are those by
    which its content would be merged.
    """
    present = _present(states).values()
    found = {digest: read(digest) for digest in dict.fromkeys(state.digest for state in present)}
    path = first_path(states.ours, states.theirs, states.base)
    explanation = Explanation(
        format=_format_of(found.values()),
        contents=states.map(lambda state: _content(state, found)),
        paths=_differing(states.map(lambda state: state.path if state else None)),
        executable=_differing(states.map(lambda state: state.executable if state else None)),
    )
    if len(found) < 2:
        return explanation
    if missing := [digest[:12] for digest, content in found.items() if content is None]:
        note = f"the content of {', '.join(missing)} is not here"
        return replace(explanation, format=Format.DIGESTS_ONLY, note=note)
    contents = states.map(lambda state: found[state.digest] if state else None)
    if rules is None:
        return _compare(explanation, contents, path, ContentRules(), None)
    outcome = _outcome(states, contents, rules)
    if outcome.content is not None:
        explanation = replace(explanation, merged_by=outcome.by, taken=outcome.taken)
    return _compare(explanation, contents, path, rules, outcome)


def _outcome(
    states: ThreeWay[AssetState | None], contents: ThreeWay[bytes | None], rules: ContentRules
) -> ContentOutcome:
    """Return what a merge of the contents comes to: nothing where none is tried."""
    base, ours, theirs = contents
    nothing = ContentOutcome(content=None)
    if ours is None or theirs is None or ours == theirs or states.ours is None:
        return nothing
    if base is None:
        return merge_added(states.ours.path, ours, theirs, rules)
    paths = states.map(lambda state: state.path if state is not None else None)
    if base in (ours, theirs) or paths.clashes:
        return nothing
    return merge_content(states.ours.path, ThreeWay(base, ours, theirs), rules)


def _content(state: AssetState | None, found: dict[Digest, bytes | None]) -> Content | None:
    if state is None:
        return None
    content = found[state.digest]
    return Content(digest=state.digest, size=None if content is None else len(content))


def _differing(values: ThreeWay[Any]) -> ThreeWay[Any] | None:
    return values if len(set(_present(values).values())) > 1 else None


def _present(
    sides: ThreeWay[Any], absent: object = None, names: Mapping[str, str] = SIDES
) -> dict[str, Any]:
    found = sides.by_side()
    return {name: found[side] for side, name in names.items() if found[side] is not absent}


def _compare(
    explanation: Explanation,
    sides: ThreeWay[bytes | None],
    path: AssetPath,
    rules: ContentRules,
    outcome: ContentOutcome | None,
) -> Explanation:
    """Compare the contents; ``outcome`` is that of their merge, None where none is looked at."""
    format_, note = explanation.format, ""
    conflicts = () if outcome is None else outcome.fields
    fields: tuple[FieldDifference, ...] = ()
    if format_ is Format.BINARY:
        return explanation
    if format_ is Format.DIGESTS_ONLY:
        note = f"too large to be compared: over {MAX_TEXT_BYTES} bytes"
        return replace(explanation, note=note, fields=tuple(map(clash_of, conflicts)))
    try:
        format_, fields = _fields(sides, path, FieldDifferences(rules, outcome))
        note = "" if fields else "the same values, written differently"
    except TooDeep:
        note = "nested too deep to be compared field by field"
    except NotParsed:
        note = _why_no_fields(sides, path)
        fields = tuple(map(clash_of, conflicts))
    lines = () if fields else _lines(sides)
    ends = _line_ends(sides)
    problem = _problem(outcome, fields)
    # Where line ends are all that differs, no other reason counts.
    reasons = [ends] if ends and not fields and not lines else [ends, note, problem]
    note = "; ".join(filter(None, reasons))
    return replace(explanation, format=format_, fields=fields, lines=lines, note=note)


def _problem(outcome: ContentOutcome | None, fields: Sequence[FieldDifference]) -> str:
    """Return why the contents are not merged, where no field is marked and no line shown."""
    if outcome is None:
        return ""
    return "both sides changed the same lines" if outcome.regions and fields else outcome.problem


def _line_ends(sides: ThreeWay[bytes | None]) -> str:
    """Return which sides differ from the first in their line ends alone."""
    (first, reference), *others = _present(sides).items()
    return "; ".join(
        f"only the line ends of {name} differ from {first}: {_ends(reference)} became {_ends(side)}"
        for name, side in others
        if _only_line_ends_differ(reference, side)
    )


def _only_line_ends_differ(before: bytes, after: bytes) -> bool:
    return before != after and before.replace(b"\r\n", b"\n") == after.replace(b"\r\n", b"\n")


def _ends(content: bytes) -> str:
    pairs = content.count(b"\r\n")
    if pairs == 0:
        return "LF"
    return "CRLF" if pairs == content.count(b"\n") else "mixed"


def _why_no_fields(sides: ThreeWay[bytes | None], path: AssetPath) -> str:
    contents = _present(sides).values()
    has_fields = any(True for content in contents for _ in formats_of(path, content))
    if has_fields and max(map(len, contents)) > MAX_FIELD_BYTES:
        return f"too large to be compared field by field: over {MAX_FIELD_BYTES} bytes"
    return ""


def explanation_json(
    explanation: Explanation, names: Mapping[str, str] = SIDES
) -> dict[str, object]:
    """An explanation in JSON form; a side that lacks an asset or a field is left out there.

    ``names`` are those of the sides to show.
    """
    paths, executable = explanation.paths, explanation.executable
    return {
        "format": str(explanation.format),
        "contents": {
            name: {"digest": content.digest, "size": content.size}
            for name, content in _present(explanation.contents, names=names).items()
        },
        "fields": [
            {
                "pointer": field.pointer,
                "clashes": field.clashes,
                **_present(field.values, ABSENT, names),
            }
            for field in explanation.fields
        ],
        "lines": [
            {
                "before": names[lines.before],
                "after": names[lines.after],
                "diff": "\n".join(renamed_lines(lines, names)),
            }
            for lines in explanation.lines
        ],
        "paths": _present(paths, names=names) if paths else None,
        "executable": _present(executable, names=names) if executable else None,
        "note": explanation.note,
    }


def renamed_lines(difference: LineDifference, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines of a unified diff with other names of its two sides."""
    before, after = names[difference.before], names[difference.after]
    return (f"--- {before}", f"+++ {after}", *difference.lines[2:])


# --- which form it has ------------------------------------------------------------------------


def _format_of(contents: Iterable[bytes | None]) -> Format:
    given = [content for content in contents if content is not None]
    if max(map(len, given), default=0) > MAX_TEXT_BYTES:
        return Format.DIGESTS_ONLY
    return Format.TEXT if all(map(is_text, given)) else Format.BINARY


def is_text(content: bytes) -> bool:
    """Whether a content is shown as text: it is UTF-8, and has no NUL."""
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


# --- field by field ---------------------------------------------------------------------------


def _fields(
    sides: ThreeWay[bytes | None], path: AssetPath, compared: FieldDifferences
) -> tuple[Format, tuple[FieldDifference, ...]]:
    """Return the outermost places that differ among the sides that are there.

    Raises:
        NotParsed: they are no objects or lists of one format, or would lose something when read.
    """
    contents = _present(sides)
    if max(map(len, contents.values())) > MAX_FIELD_BYTES:
        raise NotParsed
    problem = NotParsed()
    for format_ in formats_of(path, next(iter(contents.values()))):
        try:
            parsed = {name: format_.parse(content).value for name, content in contents.items()}
            for value in parsed.values():
                if not isinstance(shown(value), dict | list):
                    raise NotParsed
        except NotParsed as error:
            problem = error
            continue
        return Format(format_.name), tuple(compared.differences((), parsed))
    raise problem


# --- text, line by line -----------------------------------------------------------------------


def _lines(sides: ThreeWay[bytes | None]) -> tuple[LineDifference, ...]:
    import difflib

    (first, reference), *others = _present(sides).items()
    return tuple(
        LineDifference(
            before=first,
            after=name,
            lines=tuple(
                difflib.unified_diff(
                    _text_lines(reference), _text_lines(content), first, name, lineterm=""
                )
            ),
        )
        for name, content in others
        if content != reference and not _only_line_ends_differ(reference, content)
    )


def _text_lines(content: bytes) -> list[str]:
    """Lines as git has them: only a line feed ends one."""
    *lines, rest = content.decode().split("\n")
    return [*lines, rest, "\\ No newline at end of file"] if rest else lines
