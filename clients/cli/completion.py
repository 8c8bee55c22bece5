"""Shell completion scripts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion_command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
      bash:  ktt completion bash >> ~/.bashrc
      zsh:   ktt completion zsh  >> ~/.zshrc
      fish:  ktt completion fish  > ~/.config/fish/completions/ktt.fish

    Commands, options, and the names of datasets and models are then completed with the Tab key.
    """
    completion = get_completion_class(shell)
    if completion is None:
        raise click.ClickException(f"no completion is known for {shell}")
    click.echo(completion(context.find_root().command, {}, "ktt", "_KTT_COMPLETE").source())
