"""``completion``: the script that a shell reads for tab completion."""

from __future__ import annotations

import click


@click.command(no_args_is_help=True)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script for tab completion in a shell.

    \b
    bash:  eval "$(towline completion bash)"     in ~/.bashrc
    zsh:   eval "$(towline completion zsh)"      in ~/.zshrc
    fish:  towline completion fish > ~/.config/fish/completions/towline.fish
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None, "click knows the shells of the choice"
    root = context.find_root().command
    click.echo(script(root, {}, "towline", "_TOWLINE_COMPLETE").source())
