"""``help``: the help of a command, by its name."""

from __future__ import annotations

import click


def _complete_name(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    root = context.find_root()
    assert isinstance(root.command, click.Group)
    if context.params.get("names"):
        return []
    return [name for name in root.command.list_commands(root) if name.startswith(incomplete)]


@click.command()
@click.argument("names", metavar="[COMMAND]...", nargs=-1, shell_complete=_complete_name)
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
