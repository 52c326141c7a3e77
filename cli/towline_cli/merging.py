"""The merged file of a conflict in an editor, or in a merge tool as git is configured."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from towline.content.formats import formats_of
from towline.content.values import NotParsed
from towline.errors import InvalidResolution
from towline.options import Side

from .errors import CommandError
from .git_config import configured_merge_tool

if TYPE_CHECKING:
    from towline.model import ThreeWay
    from towline.resolve import LineClash, OpenConflict

_MARKER = re.compile(rb"^(?:<{7}|>{7}|\|{7}) .*$", re.MULTILINE)
_RUN_TOOL = """
TOOL_MODE=merge
at="$(git --exec-path)"
. "$at/git-sh-i18n"
. "$at/git-mergetool--lib"
! type initialize_merge_tool >/dev/null 2>&1 || initialize_merge_tool "$1" || exit
run_merge_tool "$1" "$2"
"""
"""As git mergetool runs one: it knows the tools, and the commands of the user's configuration."""

_TOOL_LIST = "git mergetool --tool-help lists the tools"
_TOOL_HINT = f"set one with git config --global merge.tool NAME; {_TOOL_LIST}"


def edit_merged(conflict: OpenConflict) -> bytes | None:
    """Open the merged file in the user's editor; None where it was not saved.

    Lines that clash are between markers. Of fields that clash it has ours.

    Raises:
        CommandError: the editor failed, or what it wrote has markers or is not of its format.
    """
    _, suffix = _file_name(conflict)
    try:
        content = click.edit(_start(conflict), require_save=True, extension=suffix)
    except click.ClickException as error:
        raise CommandError("editor_failed", error.format_message()) from None
    return None if content is None else _checked(content, conflict)


def run_merge_tool(conflict: OpenConflict, tool: str | None = None) -> bytes:
    """Merge in a tool of git mergetool, by default ``merge.tool``, and return what it wrote.

    Raises:
        CommandError: none is configured, it failed, or as `edit_merged`.
    """
    tool = tool or configured_merge_tool()
    if tool is None:
        problem = "no merge tool is configured"
        raise CommandError("no_merge_tool", problem, f"use --tool=NAME, or {_TOOL_HINT}")
    _check_takes_content(conflict)
    with tempfile.TemporaryDirectory(prefix="towline-merge-") as folder:
        stem, suffix = _file_name(conflict)
        files = {
            side: Path(folder, f"{stem}_{side}{suffix}")
            for side in ("BASE", "LOCAL", "REMOTE", "BACKUP", "MERGED")
        }
        contents = conflict.contents
        start = _start(conflict)
        sides = (*contents, start, start)
        for file, content in zip(files.values(), sides, strict=True):
            file.write_bytes(content or b"")
        has_base = "false" if contents.base is None else "true"
        ended = subprocess.run(
            ["sh", "-c", _RUN_TOOL, "sh", tool, has_base],
            cwd=folder,
            # A repository's own configuration is not read: it may be the one in question.
            env={**os.environ, "GIT_DIR": os.devnull, **{k: str(v) for k, v in files.items()}},
            check=False,
        )
        if ended.returncode:
            problem = f"{tool} did not merge {conflict.path}"
            raise CommandError("merge_tool_failed", problem, _TOOL_LIST)
        return _checked(files["MERGED"].read_bytes(), conflict)


def _file_name(conflict: OpenConflict) -> tuple[str, str]:
    """Return stem and suffix for a temporary file, by which tools know what it is."""
    name = PurePosixPath(re.sub(r"[^\w.-]", "_", conflict.path.name))
    # What is too long to be a suffix is none; a name may have 255 bytes.
    return name.stem[:50], name.suffix if len(name.suffix) < 20 else ""


def with_sides(conflict: OpenConflict, sides: list[Side]) -> bytes:
    """Return the merged file with a side for each place where lines clash."""
    return conflict.merged_lines(
        [
            clash.lines.theirs if side is Side.THEIRS else clash.lines.ours
            for clash, side in zip(conflict.lines, sides, strict=True)
        ]
    )


def _start(conflict: OpenConflict) -> bytes:
    """Return the text in which a person begins to merge."""
    _check_takes_content(conflict)
    try:
        if conflict.lines:
            return conflict.merged_lines([_marked(clash) for clash in conflict.lines])
        if conflict.fields:
            return conflict.merged({field.pointer: Side.OURS for field in conflict.fields})
    except InvalidResolution:
        pass  # It cannot be written in place.
    contents = conflict.contents
    return contents.ours or contents.theirs or b""


def _check_takes_content(conflict: OpenConflict) -> None:
    if not conflict.takes_content:
        problem = f"the paths of {conflict.path} clash; choose theirs or ours"
        raise CommandError("invalid_resolution", problem)


def _marked(clash: LineClash) -> bytes:
    lines: ThreeWay[bytes] = clash.lines.map(
        lambda text: text if text.endswith(b"\n") or not text else text + b"\n"
    )
    return b"".join(
        [
            *(b"<<<<<<< ours\n", lines.ours, b"||||||| base\n", lines.base),
            *(b"=======\n", lines.theirs, b">>>>>>> theirs\n"),
        ]
    )


def doubts(content: bytes, conflict: OpenConflict) -> tuple[str, ...]:
    """Return what makes a content look unfinished, each as the rest of a sentence."""
    sides = [side for side in conflict.contents if side is not None]
    known = {marker for side in sides for marker in _MARKER.findall(side)}
    found = []
    if not known.issuperset(_MARKER.findall(content)):
        found.append("has conflict markers")
    if not content and any(sides):
        found.append("is empty")
    elif (name := _broken_format(content, conflict)) is not None:
        found.append(f"is not valid {name.upper()}")
    return tuple(found)


def _checked(content: bytes, conflict: OpenConflict) -> bytes:
    for doubt in doubts(content, conflict):
        problem = f"the merged content of {conflict.path} {doubt}"
        raise CommandError("unfinished", problem, "--with FILE accepts any content")
    return content


def _broken_format(content: bytes, conflict: OpenConflict) -> str | None:
    """Return the format of ours (of theirs, where it is deleted), if this is not of it."""
    before = conflict.contents.ours or conflict.contents.theirs
    if before is None:
        return None
    for format_ in formats_of(conflict.path, before):
        try:
            format_.parse(before)
        except NotParsed:
            continue
        try:
            format_.parse(content)
        except NotParsed:
            return format_.name
    return None
