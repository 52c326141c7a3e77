"""``help``: the help of a command, by its name."""

from __future__ import annotations

import click


@click.command()
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def help(context: click.Context, names: tuple[str, ...]) -> None:  # noqa: A001 - its name
    """Show the help of a command."""
    parent = context.find_root()
    for name in names:
        if not isinstance(parent.command, click.Group):
            raise click.UsageError(f"{parent.command_path} has no commands", parent)
        found, command, _ = parent.command.resolve_command(parent, [name])
        assert command is not None, "else resolve_command raises"
        parent = command.context_class(command, info_name=found, parent=parent)
    click.echo(parent.get_help())
