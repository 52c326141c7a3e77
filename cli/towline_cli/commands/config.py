"""``config``: the settings of a project, shown and changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline_cli.options import CONTENT_MODES, POLICIES, RENAMES, json_option
from towline_cli.output import echo, echo_err, pluralize, print_json
from towline_cli.project import Project, open_project

from .clone import NOT_STORED, parse_scope, split_url

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@frozen
class _Setting:
    """How one setting is read as JSON, and checked and written from text (empty: its default)."""

    show: Callable[[Project], Any]
    change: Callable[[Project, str], None]


def _complete_name(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in _settings() if name.startswith(incomplete)]


_CHOICES = {
    "on_conflict": POLICIES,
    "content_merge": CONTENT_MODES,
    "renames": RENAMES,
    "names": ["portable"],
    "remember": ["true", "false"],
    "filemode": ["true", "false"],
    "fsync": ["true", "false"],
}


def _complete_value(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    from click.shell_completion import CompletionItem

    name = context.params.get("name", "")
    if name == "kinds":
        return [CompletionItem(incomplete, type="file")]
    choices = _CHOICES.get(name, [])
    return [CompletionItem(choice) for choice in choices if choice.startswith(incomplete)]


@click.command()
@click.argument("name", required=False, shell_complete=_complete_name)
@click.argument("value", required=False, shell_complete=_complete_value)
@click.option("--unset", is_flag=True, help="Reset the setting to its default.")
@click.option(
    "--check", is_flag=True, help="Check a kinds file without using it: config kinds --check FILE."
)
@json_option
def config(name: str | None, value: str | None, unset: bool, check: bool, as_json: bool) -> None:
    """Show or change this project's settings.

    Without NAME, shows every setting; with NAME, shows that one; with VALUE, changes it. `towline
    config presets` lists the presets of kinds.

    \b
    url          the repository
    ref          a branch, tag or commit; unset: the default branch
    scope        the subfolder of the repository to use
    on_conflict  what a pull does without --on-conflict: refuse, skip, theirs, ours
    content_merge  how an asset that both sides edited is merged: auto, structure, lines, never
    renames      how renames in the repository are detected: similar, exact, off
    remember     whether a resolution is offered again for the same conflict: true, false
    limit.NAME   a limit, such as limit.assets
    kinds        a file that defines which files are assets (docs/kinds.md), or preset:NAME
    names        portable: refuse names that other systems cannot hold; unset: follow the rules
                 of this file system
    filemode     true: read the executable bit from the files; false: use the recorded bit;
                 unset: true if the file system stores the bit
    keep         how many pulls can be undone
    fsync        false: do not flush files, like git's core.fsync=none; faster, but after a loss
                 of power during a pull the project may have to be cloned again
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if unset and (name is None or value is not None):
        raise click.UsageError("--unset needs a NAME and no VALUE")
    if check:
        if name != "kinds" or value is None:
            raise click.UsageError("--check needs a file: towline config kinds --check FILE")
        _check_kinds(value, as_json=as_json)
        return
    if name == "presets" and value is None and not unset:
        _list_presets(as_json=as_json)
        return
    with open_project() as project:
        if name is None:
            shown = {each: setting.show(project) for each, setting in _settings().items()}
        else:
            setting = _setting(name)
            if value is not None or unset:
                setting.change(project, value or "")
            shown = {name: setting.show(project)}
    if as_json:
        print_json(shown)
    elif value is None and not unset:
        for each, explained in shown.items():
            echo(_text(explained) if name is not None else f"{each} = {_text(explained)}")


def _list_presets(*, as_json: bool) -> None:
    from towline.presets import load_preset, preset_names

    presets = {name: load_preset(name) for name in preset_names()}
    if as_json:
        print_json({name: kinds.to_document() for name, kinds in presets.items()})
        return
    for name, kinds in presets.items():
        echo(f"{name}: {', '.join(kind.name for kind in kinds.kinds)}")


def _check_kinds(file: str, *, as_json: bool) -> None:
    from towline.kinds_file import find_kinds

    found = find_kinds(file)
    if as_json:
        print_json(found.to_document())
        return
    hidden = "included" if found.hidden else "left out"
    echo(f"{file} is valid: {pluralize(len(found.kinds), 'kind')}, dot files {hidden}.")
    for kind in found.kinds:
        pointer = f", id at {kind.id_pointer}" if kind.id_pointer is not None else ""
        echo(f"{kind.name}: {', '.join(kind.globs)}{pointer}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        import json

        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _settings() -> dict[str, _Setting]:
    from dataclasses import fields

    from towline.limits import Limits

    limits = {f"limit.{field.name}": _limit(field.name) for field in fields(Limits)}
    return {**_SETTINGS, **limits}


def _setting(name: str) -> _Setting:
    known = _settings()
    name = name.replace("-", "_")
    if name not in known:
        raise click.UsageError(f"no such setting: {name!r}; choose one of {', '.join(known)}")
    return known[name]


def _change_url(project: Project, value: str) -> None:
    address, credential = split_url(value)
    # What was fetched last is of another place.
    project.store.set_settings({"url": address, "fetched": None})
    if credential is not None:
        echo_err(NOT_STORED)


def _change_ref(project: Project, value: str) -> None:
    from towline.remotes.url import WantedRef

    ref = WantedRef.parse(value).text if value else None
    project.store.set_settings({"ref": ref, "fetched": None})


def _change_scope(project: Project, value: str) -> None:
    project.store.set_setting("scope", parse_scope(value))


def _choice(name: str) -> _Setting:
    """Return a setting that is one of `_CHOICES`; the first is its default."""

    def change(project: Project, value: str) -> None:
        if value and value not in _CHOICES[name]:
            choices = ", ".join(_CHOICES[name])
            raise InvalidValue(field=name, problem=f"{value!r} is not one of {choices}")
        project.store.set_setting(name, value)

    return _Setting(show=lambda project: project.setting(name) or _CHOICES[name][0], change=change)


def _change_kinds(project: Project, value: str) -> None:
    from towline.kinds import Kinds
    from towline.kinds_file import find_kinds

    project.store.set_kinds(find_kinds(value) if value else Kinds())


def _change_names(project: Project, value: str) -> None:
    from towline.names import NamePolicy
    from towline.stores.directory.state_folder import probe_names

    if value not in ("", NamePolicy.PORTABLE):
        raise InvalidValue(field="names", problem=f"must be {NamePolicy.PORTABLE} or unset")
    store = project.store
    store.set_names(NamePolicy.PORTABLE if value else probe_names(store.disk))


def _change_filemode(project: Project, value: str) -> None:
    known = {"": None, "true": True, "false": False}
    if value not in known:
        raise InvalidValue(field="filemode", problem="must be true, false or unset")
    project.store.set_keeps_executable(known[value])


def _change_keep(project: Project, value: str) -> None:
    if not (value.isascii() and value.isdigit() and int(value) > 0) and value:
        raise InvalidValue(field="keep", problem=f"{value!r} is not a whole number of 1 or more")
    project.store.set_keep(int(value or 50))


def _change_remember(project: Project, value: str) -> None:
    if value not in ("", "true", "false"):
        raise InvalidValue(field="remember", problem="must be true, false or unset")
    project.store.set_setting("remember", value or None)


def _change_fsync(project: Project, value: str) -> None:
    if value not in ("", "true", "false"):
        raise InvalidValue(field="fsync", problem="must be true, false or unset")
    project.store.set_fsync(value != "false")


def _limit(name: str) -> _Setting:
    def change(project: Project, value: str) -> None:
        stored = project.setting("limits").split()
        others = [each for each in stored if each.partition("=")[0].replace("-", "_") != name]
        settings = [*others, f"{name}={value}"] if value else others
        project.limits([f"{name}={value}"] if value else [])
        project.store.set_setting("limits", " ".join(settings))

    return _Setting(show=lambda project: getattr(project.limits(), name), change=change)


_SETTINGS = {
    "url": _Setting(show=lambda project: project.setting("url") or None, change=_change_url),
    "ref": _Setting(show=lambda project: project.setting("ref") or None, change=_change_ref),
    "scope": _Setting(show=lambda project: project.setting("scope"), change=_change_scope),
    "on_conflict": _choice("on_conflict"),
    "content_merge": _choice("content_merge"),
    "renames": _choice("renames"),
    "remember": _Setting(
        show=lambda project: project.setting("remember") != "false", change=_change_remember
    ),
    "kinds": _Setting(show=lambda project: project.store.kinds.to_document(), change=_change_kinds),
    "names": _Setting(show=lambda project: str(project.store.names), change=_change_names),
    "filemode": _Setting(
        show=lambda project: project.store.keeps_executable, change=_change_filemode
    ),
    "keep": _Setting(show=lambda project: project.store.keep, change=_change_keep),
    "fsync": _Setting(show=lambda project: project.store.fsync, change=_change_fsync),
}
