"""The table of commands. A command's module is loaded when it runs; other distributions add theirs.

A distribution joins with an entry point of the group ``towline.commands``: its name is the
command's, its object a click command. The builtin names cannot be taken.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "towline.commands"

# Section -> command -> its module in `commands`, and its summary (a test holds it to the command).
SECTIONS = {
    "Start": {
        "clone": ("clone", "Clone a repository into a new folder."),
        "init": ("clone", "Associate an existing folder with a repository."),
    },
    "Inspect": {
        "status": ("status", "Show the state of every asset, without network access."),
        "diff": ("diff", "Show conflicts and local edits, by field for JSON, YAML and TOML."),
        "show": ("diff", "Print the content of one side of an asset."),
        "log": ("log", "Show the pulls of this project."),
    },
    "Update": {
        "fetch": ("fetch", "Fetch from the repository, and change nothing here."),
        "plan": ("pull", "Show what a pull would do."),
        "pull": ("pull", "Apply the repository's changes to this folder."),
        "resolve": ("resolve", "Resolve conflicts one at a time."),
        "apply": ("pull", "Apply a plan from a file."),
        "undo": ("log", "Revert a pull."),
    },
    "Set up": {
        "config": ("config", "Show or change this project's settings."),
        "completion": ("help", "Print the tab completion script for a shell."),
        "help": ("help", "Show help for a command."),
    },
}
BUILTIN = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
FROM_SERVER = {
    "serve": "Start the control plane.",
    "work": "Execute runs from the database that servers share.",
    "admin": "Manage tenants, people, keys, connections and projects in the server's database.",
    "openapi": "Print the server's OpenAPI document.",
}
"""The commands of the control plane, and their summaries."""


class CommandGroup(click.Group):
    """A click group that loads a command's module only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return the name of every command, builtin ones first."""
        return [*BUILTIN, *_added()]

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        cmd_name: str,
    ) -> click.Command | None:
        """Load the module of a command, and return the command."""
        if cmd_name in BUILTIN:
            module = import_module(f".commands.{BUILTIN[cmd_name][0]}", __package__)
            command: click.Command = getattr(module, cmd_name)
            return command
        if point := _added().get(cmd_name):
            return _load(point)
        if cmd_name in FROM_SERVER:
            from .errors import CommandError

            raise CommandError(
                "not_installed",
                f"{cmd_name} needs the control plane, which is not installed",
                "install it with: pip install 'towline[server]'",
            )
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click does, and suggest names of the table of commands."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            names = self.list_commands(ctx)
            raise click.NoSuchCommand(error.command_name, possibilities=names, ctx=ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke as click does, without the empty line that it prints after Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands, from the table alone."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, summary) for name, (_, summary) in commands.items()])
        added = {name: f"from {_origin(point)}" for name, point in _added().items()}
        server = [(name, text) for name, text in FROM_SERVER.items() if added.pop(name, None)]
        for title, rows in (("Run a server", server), ("Added by other packages", added.items())):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(list(rows))


def _added() -> dict[str, EntryPoint]:
    """Return the commands of other distributions, sorted by name."""
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    return {name: found[name] for name in sorted(found) if name not in BUILTIN}


def _origin(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module


def _load(point: EntryPoint) -> click.Command:
    from .errors import CommandError

    try:
        command = point.load()
    except ImportError as error:
        missing = f" ({error.name} is missing)" if error.name else ""
        raise CommandError(
            "not_installed",
            f"{point.name} comes from {_origin(point)}, which cannot be loaded{missing}",
            "install it with: pip install 'towline[server]'" if point.name in FROM_SERVER else "",
        ) from None
    if not isinstance(command, click.Command):
        raise CommandError("not_installed", f"{point.name} from {_origin(point)} is not a command")
    return command
