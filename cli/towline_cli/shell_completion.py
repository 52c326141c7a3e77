"""Tab completion of what a project holds; where that cannot be read, it offers nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

if TYPE_CHECKING:
    from .project import Project


class _WholeWords(ShellComplete):
    """For shells that replace the whole word where bash replaces what is after its ``=``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        items = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in items:
                item.value = f"{option}={item.value}"
        return items


class _Bash(BashComplete):
    """For bash, which replaces what is after the last ``=`` of a word."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        items = super().get_completions(args, incomplete)
        before = "".join(incomplete.rpartition("=")[:2])
        for item in items:
            item.value = item.value.removeprefix(before)
        return items


class _Zsh(_WholeWords, ZshComplete):
    pass


class _Fish(_WholeWords, FishComplete):
    pass


def register() -> None:
    """Have click complete what has an ``=`` in it."""
    add_completion_class(_Bash)
    add_completion_class(_Zsh)
    add_completion_class(_Fish)


def asset_paths(context: click.Context, incomplete: str) -> list[str]:
    """The paths of this project's assets."""
    return _completed(context, incomplete, lambda project: sorted(_paths(project)))


def selectable(context: click.Context, incomplete: str) -> list[str]:
    """The project's kinds, and the paths of its assets."""

    def names(project: Project) -> list[str]:
        kinds = [kind.name for kind in project.store.kinds.kinds]
        return kinds + sorted(set(_paths(project)).difference(kinds))

    return _completed(context, incomplete, names)


def conflicting(context: click.Context, incomplete: str) -> list[str]:
    """The paths of the assets in conflict with what was fetched last."""

    def names(project: Project) -> list[str]:
        from towline.ports import Watch

        assets = project.status(Watch()).assets
        return [asset.path for asset in assets if asset.state == "conflict"]

    return _completed(context, incomplete, names)


def clashing_fields(context: click.Context, incomplete: str) -> list[str]:
    """Both sides of each field that clashes, of the assets that are named before, or of all."""

    def choices(project: Project) -> list[str]:
        from towline.ports import Watch

        from .open_conflicts import load_conflicts

        found, names = load_conflicts(project, Watch()), context.params.get("names") or ()
        conflicts = found.named(names, project) if names else found.conflicts
        pointers = {field.pointer: None for conflict in conflicts for field in conflict.fields}
        return [f"{pointer}={side}" for pointer in pointers for side in ("theirs", "ours")]

    return _completed(context, incomplete, choices)


def pull_numbers(context: click.Context, incomplete: str) -> list[str]:
    """The numbers of the log, newest first; for ``undo`` of what is not undone."""
    undo = context.info_name == "undo"

    def names(project: Project) -> list[str]:
        entries = project.store.log()
        return [str(entry.number) for entry in entries if not (undo and entry.undone)]

    return _completed(context, incomplete, names)


def _paths(project: Project) -> Iterable[str]:
    with project.store.snapshot() as snapshot:
        return [record.ours.path for record in snapshot.records() if record.ours]


def _completed(
    context: click.Context, incomplete: str, names: Callable[[Project], list[str]]
) -> list[str]:
    from .project import open_project

    # The group's callback, which goes there, does not run while a line is completed.
    folder = context.find_root().params.get("folder")
    try:
        if folder is not None:
            os.chdir(folder)
        with open_project() as project:
            # Shells take a line for each.
            found = (name for name in names(project) if "\n" not in name)
            return [name for name in found if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a message would land in the middle of the typed line
        return []
