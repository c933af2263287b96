# SPDX-License-Identifier: Apache-2.0
"""``pyhash completion``: the script that completes a line in a shell, and what the script asks.

The script asks through arguments. click's own way, an environment variable that turns every
command into a completion, would let a changed environment turn a verification off.
"""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete

from pyhash.cli.answer import Answer
from pyhash.cli.command import answering
from pyhash.cli.settings import Settings

# Each answer is "kind<TAB>value<TAB>help"; kinds are plain, file and dir.
_BASH = """\
_pyhash() {
    local kind value help
    COMPREPLY=()
    while IFS=$'\\t' read -r kind value help; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            *) compopt -o default ;;
        esac
    done < <(pyhash completion bash --at "$COMP_CWORD" -- "${COMP_WORDS[@]}" 2>/dev/null)
}
complete -F _pyhash pyhash
"""
_ZSH = """\
#compdef pyhash
_pyhash() {
    local kind value help
    local -a found
    while IFS=$'\\t' read -r kind value help; do
        case $kind in
            plain) found+=("${value//:/\\\\:}:$help") ;;
            *) _files ;;
        esac
    done < <(pyhash completion zsh --at $((CURRENT - 1)) -- "${words[@]}" 2>/dev/null)
    (( ${#found} )) && _describe pyhash found
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _pyhash; else compdef _pyhash pyhash; fi
"""
_FISH = """\
function _pyhash
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    for line in (pyhash completion fish --at (count $before) -- $before $current 2>/dev/null)
        set -l fields (string split \\t -- $line)
        switch $fields[1]
            case plain
                printf '%s\\t%s\\n' $fields[2] $fields[3]
            case '*'
                __fish_complete_path $current
        end
    end
end
complete -c pyhash -f -a '(_pyhash)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@answering(
    "completion", example="pyhash completion bash > pyhash-completion; . ./pyhash-completion"
)
@click.argument("shell", type=click.Choice(tuple(SCRIPTS)))
@click.option("--at", type=click.IntRange(min=1), hidden=True, help="Which word to complete.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, required=False, metavar="")
def command(settings: Settings, *, shell: str, at: int | None, words: tuple[str, ...]) -> Answer:
    """Print the completion script for SHELL: source it, or put it where SHELL looks for such."""
    if at is None:
        return Answer(
            "ok", f"a completion script for {shell}", lines=tuple(SCRIPTS[shell].splitlines())
        )
    from pyhash.cli.group import GROUP, PROGRAM

    incomplete = words[at] if at < len(words) else ""
    completer = ShellComplete(GROUP, {}, PROGRAM, "")
    found = completer.get_completions(list(words[1:at]), incomplete)
    return Answer(
        "ok", lines=tuple(f"{one.type}\t{one.value}\t{one.help or ''}".encode() for one in found)
    )
