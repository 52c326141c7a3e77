"""``completion`` and ``help``."""

from __future__ import annotations

import click

# Those of click insert names with spaces unquoted (bash) and cut names at a comma (fish).
_BASH = """\
_towline_completion() {
    local IFS=$'\\n' i completion words=()
    COMPREPLY=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        # Readline takes --option=VALUE for three words.
        if ((i > 0)) && [[ ${COMP_WORDS[i]} == = || ${COMP_WORDS[i - 1]} == = ]]; then
            words[${#words[@]} - 1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}")
        fi
    done
    while IFS= read -r completion; do
        case $completion in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            # As a file's name, it is quoted where it needs to be.
            plain,*) compopt -o filenames; COMPREPLY+=("${completion#plain,}") ;;
        esac
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) \\
        _TOWLINE_COMPLETE=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F _towline_completion towline
"""
_FISH = """\
function _towline_completion
    set -l response (env _TOWLINE_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) \\
        COMP_CWORD=(commandline -ct) towline 2>/dev/null)
    for completion in $response
        set -l parts (string split -m 1 "," -- $completion)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                echo $parts[2]
        end
    end
end
complete --no-files --command towline --arguments "(_towline_completion)"
"""


@click.command(no_args_is_help=True)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the tab completion script for a shell.

    \b
    bash:  eval "$(towline completion bash)"     in ~/.bashrc
    zsh:   eval "$(towline completion zsh)"      in ~/.zshrc
    fish:  towline completion fish > ~/.config/fish/completions/towline.fish
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    from click.shell_completion import ZshComplete

    zsh = ZshComplete(context.find_root().command, {}, "towline", "_TOWLINE_COMPLETE")
    scripts = {"bash": lambda: _BASH, "fish": lambda: _FISH, "zsh": zsh.source}
    click.echo(scripts[shell]())


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
    """Show help for a command."""
    parent = context.find_root()
    for name in names:
        if not isinstance(parent.command, click.Group):
            raise click.UsageError(f"{parent.command_path} has no commands", parent)
        found, command, _ = parent.command.resolve_command(parent, [name])
        assert command is not None, "else resolve_command raises"
        parent = command.context_class(command, info_name=found, parent=parent)
    click.echo(parent.get_help())
