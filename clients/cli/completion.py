"""Shell completion: the scripts, and their requests."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

if TYPE_CHECKING:
    Shell = ShellComplete
else:
    Shell = object

__all__ = ["COMPLETE_VARIABLE", "answer_completion", "completion_command"]

#: Set by the scripts: the shell.
COMPLETE_VARIABLE = "_KTT_COMPLETE"
# Set by the scripts: the line up to the cursor.
_LINE_VARIABLE = "_KTT_LINE"
# Set by bash: the characters at which it splits words.
_BREAKS_VARIABLE = "_KTT_BREAKS"
# Characters without a special meaning on a command line. bash inserts completions verbatim, and a
# folder in a workspace, or of a server, may be named "$(rm x)".
_PLAIN = re.compile(r"[\w.,:/@%+=-]+")

# Aliases are not programs: each shell runs them differently within a function.
_BASH = """\
%(complete_func)s() {
    local kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(
        export %(complete_var)s=bash_complete
        export _KTT_LINE=${COMP_LINE:0:COMP_POINT} _KTT_BREAKS=$COMP_WORDBREAKS
        # An alias is expanded when eval reads it.
        eval "$1" </dev/null 2>/dev/null
    )
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local kind value descr
    local -a plain described response
    # Functions for completion run without aliases.
    response=("${(@f)$(
        export %(complete_var)s=zsh_complete
        export _KTT_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX"
        eval "${aliases[$words[1]]:-$words[1]}" </dev/null 2>/dev/null
    )}")
    for kind value descr in "${response[@]}"; do
        case $kind in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain)
                if [[ $descr == _ ]]; then
                    plain+=("$value")
                else
                    described+=("$value:$descr")
                fi
                ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#plain )) && compadd -U -V unsorted -a plain
    return 0
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
    # Before it completes, zsh puts in place of an alias what that stands for: a program's path,
    # perhaps with options. Other programs' completion is left alone.
    () {
        local -a parts=(${(z)aliases[%(prog_name)s]})
        (( $#parts )) && [[ -z $parts[2] || $parts[2] == -* ]] &&
            compdef %(complete_func)s "${(Q)parts[1]}"
    }
fi
"""

_FISH = """\
function %(complete_func)s
    set -lx %(complete_var)s fish_complete
    set -lx _KTT_LINE (commandline -cp | string collect)
    # An alias is a function here.
    for completion in (%(prog_name)s </dev/null 2>/dev/null)
        set -l parts (string split --max 1 "," -- $completion)
        switch $parts[1]
            case dir
                __fish_complete_directories (commandline -ct)
            case file
                __fish_complete_path (commandline -ct)
            case plain
                echo $parts[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Typed(Shell):
    """Common part: words are those of the line as typed."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor's word, and its beginning."""
        # A marker at the end distinguishes an empty last word from none.
        words = split_arg_string(os.environ.get(_LINE_VARIABLE, "") + "\0")
        # An alias may contain options, too.
        return [*sys.argv[1:], *words[1:-1]], words[-1].removesuffix("\0")

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Return completions, without names that are special to a shell."""
        items = super().get_completions(args, incomplete)
        return [item for item in items if item.type != "plain" or _PLAIN.fullmatch(item.value)]


class _Bash(_Typed, BashComplete):
    source_template = _BASH

    def source(self) -> str:
        """Return the script, without a check of bash's version."""
        return ShellComplete.source(self)

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Return completions for the part after bash's last word break."""
        items = super().get_completions(args, incomplete)
        breaks = set(os.environ.get(_BREAKS_VARIABLE, "")) & set(":=")
        begun = 1 + max((incomplete.rfind(letter) for letter in breaks), default=-1)
        for item in items:
            # The part before an "=" is not part of the item.
            if begun and item.value.startswith(incomplete[:begun]):
                item.value = item.value[begun:]
        return items


class _Zsh(_Typed, ZshComplete):
    source_template = _ZSH


class _Fish(_Typed, FishComplete):
    source_template = _FISH

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Return whole words, including the option before an "=", as fish requires."""
        items = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in items:
                item.value = f"{option}={item.value}"
        return items


_SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def answer_completion(command: click.Command) -> int:
    """Print the answer for a shell's script and return the exit code."""
    shell, _, _ = os.environ[COMPLETE_VARIABLE].partition("_")
    if shell not in _SHELLS:
        return 1
    click.echo(_SHELLS[shell](command, {}, "ktt", COMPLETE_VARIABLE).complete())
    return 0


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
      bash:  ktt completion bash >> ~/.bashrc
      zsh:   ktt completion zsh  >> ~/.zshrc
      fish:  ktt completion fish  > ~/.config/fish/completions/ktt.fish

    Commands and options are then completed with the Tab key, and the names that there are: of
    datasets, of models (where a trained one is needed, those that are trained), of encoders, jobs
    and runs. It works where `ktt` is an alias too; in zsh that must be set before this script, and
    stand for the program itself.
    """
    root = context.find_root().command
    click.echo(_SHELLS[shell](root, {}, "ktt", COMPLETE_VARIABLE).source())
