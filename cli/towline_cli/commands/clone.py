"""``clone`` and ``init``: make a folder a project of a repository."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from towline_cli.commands.pull import load_for_a_plan, plan_pull
from towline_cli.errors import CommandError
from towline_cli.exit_codes import CONFLICTS, OK
from towline_cli.options import (
    json_option,
    limit_options,
    limit_settings,
    verbose_option,
    with_options,
)
from towline_cli.output import echo, echo_err, print_json
from towline_cli.progress import watching
from towline_cli.project import STATE_FOLDER, Project, trusts
from towline_cli.reporting import Wording, show_report

if TYPE_CHECKING:
    from towline.ports import Watch
    from towline.remotes.credentials import Credential

NOT_STORED = (
    "The credentials in the URL are not stored; towline clone --help says where to put them."
)

association_options = with_options(
    click.option(
        "--ref",
        metavar="REF",
        help="The branch, tag or commit to pull; by default, the default branch.",
    ),
    click.option("--scope", metavar="SUBFOLDER", help="Use only this subfolder of the repository."),
    click.option(
        "--kinds",
        metavar="FILE",
        help="Which files are assets, and of which kind: a TOML, JSON or YAML file, or preset:NAME"
        " (see `towline config presets`). By default, every file is an asset.",
    ),
    *limit_options,
    json_option,
)


@click.command()
@click.argument("url")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path())
@verbose_option
@association_options
def clone(url: str, folder: str | None, verbose: bool, as_json: bool, **association: Any) -> int:
    """Clone a repository into a new folder.

    DIR must be empty or not exist; by default, it is named after the repository. Limits also
    apply to later pulls. If cloning fails, nothing is left behind.

    Assets whose names collide in this file system are left out, and the exit code is 3; choose
    one of them with `towline pull`.

    Credentials come from TOWLINE_TOKEN, or TOWLINE_USERNAME and TOWLINE_PASSWORD, from netrc,
    from `git credential`, or from a prompt at the terminal. Credentials in the URL are used once
    and not stored.
    """
    from towline.apply import apply

    address, credential = split_url(url)
    root = Path(folder if folder is not None else folder_name(address))
    wording = Wording(done=f"Cloned into {root} at", nothing=f"Cloned into {root}: no assets")
    with (
        _removed_on_error(root),
        watching(load_for_a_plan) as watch,
        _new_project(root, address, association, credential, watch) as project,
    ):
        made = plan_pull(project, {"on_conflict": "skip"}, watch, credential)
        report = apply(made, project.store, watch=watch)
    # The folder is complete from here on, even if its output cannot be written.
    if not as_json:
        if credential is not None:
            echo_err(NOT_STORED)
        if (scope := association["scope"]) and not report.created:
            echo_err(
                f"hint: there are no assets below {scope}; towline config scope FOLDER changes it"
            )
    show_report(report, wording, as_json=as_json, everything=verbose)
    return CONFLICTS if report.conflicts else OK


@click.command()
@click.argument("url")
@association_options
def init(url: str, as_json: bool, **association: Any) -> None:
    """Associate an existing folder with a repository.

    No file is changed. The first `towline pull` accepts files that are equal, and reports those
    that differ as conflicts, for you to choose a side. Credentials work as in `towline clone`.
    """
    address, credential = split_url(url)
    root = Path.cwd()
    with (
        watching() as watch,
        _new_project(root, address, association, credential, watch) as project,
    ):
        revision = project.fetch(project.remote(credential), project.limits(), watch)
        about = {
            "project": str(root),
            "url": project.setting("url"),
            "ref": project.setting("ref") or None,
            "scope": project.setting("scope"),
            "revision": revision,
        }
    if as_json:
        print_json(about)
    else:
        if credential is not None:
            echo_err(NOT_STORED)
        echo(f"Associated with {about['url']} ({about['ref'] or 'its default branch'}).")
        echo_err("hint: towline plan shows what a pull would do, towline status every asset")


def split_url(text: str) -> tuple[str, Credential | None]:
    """Return an address with an absolute path, and the credential in the URL."""
    from towline.remotes.url import RemoteUrl, Scheme

    url, credential = RemoteUrl.split(text)
    if url.scheme is Scheme.FILE and "://" not in url.address:
        return os.path.abspath(url.address), None
    return url.address, credential


def parse_scope(text: str) -> str:
    """Return a subfolder of a repository as it is stored; empty is all of it."""
    from towline.model import AssetPath

    scope = text.strip("/")
    return AssetPath.parse(scope) if scope not in ("", ".") else ""


def folder_name(address: str) -> str:
    """Return the folder that git would make for this address."""
    path = address.rstrip("/").removesuffix("/.git").rstrip("/")
    name = path.replace(":", "/").rpartition("/")[2].removesuffix(".git")
    if name in ("", ".", "..", STATE_FOLDER):
        raise click.UsageError("cannot derive a folder name from the URL; give DIR")
    return name


@contextmanager
def _new_project(
    root: Path,
    address: str,
    association: dict[str, Any],
    credential: Credential | None,
    watch: Watch,
) -> Iterator[Project]:
    """Yield a new project in this folder, with its settings; remove it if anything fails."""
    from towline.kinds import Kinds
    from towline.limits import Limits
    from towline.stores.directory.store import DirectoryStore

    settings = limit_settings(association)
    limits = Limits().with_settings(settings)
    scope = parse_scope(association["scope"] or "")
    kinds = Kinds()
    if association["kinds"] is not None:
        from towline.kinds_file import find_kinds

        kinds = find_kinds(association["kinds"])
    store = DirectoryStore.create(root, kinds=kinds, trusts=trusts(root))
    try:
        with store, ExitStack() as remotes:
            store.set_settings({"url": address, "scope": scope, "limits": " ".join(settings)})
            project = Project(root=root, store=store, remotes=remotes)
            ref = association["ref"] or project.remote(credential).default_branch(limits, watch)
            store.set_setting("ref", ref)
            yield project
    except BaseException:
        shutil.rmtree(root / STATE_FOLDER, ignore_errors=True)
        raise


@contextmanager
def _removed_on_error(folder: Path) -> Iterator[None]:
    """Make a new or empty folder, and restore what was there if anything fails."""
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise CommandError(
            "folder_not_empty",
            f"{folder} exists and is not empty",
            "name another folder, or run towline init URL in this one",
        )
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if missing:
            shutil.rmtree(missing[-1], ignore_errors=True)
        else:
            for entry in folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        raise
