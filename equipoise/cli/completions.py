"""`equipoise completions`"""

from __future__ import annotations

from typing import Literal

from equipoise.cli.output import say

NAMES = {
    "bash": """
_equipoise_with_names() {
  _equipoise "$@"
  if [[ " ${COMP_WORDS[*]} " =~ " backends "(drain|resume)" " ]]; then
    COMPREPLY+=($(compgen -W "$(equipoise backends ls --names 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
  fi
}
complete -F _equipoise_with_names equipoise
""",
    "zsh": """
_equipoise_with_names() {
  if [[ "${words[2]} ${words[3]}" == "backends "(drain|resume) && $CURRENT -eq 4 ]]; then
    compadd -- ${(f)"$(equipoise backends ls --names 2>/dev/null)"}
  else
    _equipoise "$@"
  fi
}
(( $+functions[compdef] )) && compdef _equipoise_with_names equipoise
""",
    "fish": """
complete -c equipoise -f -n "__fish_seen_subcommand_from backends; and __fish_seen_subcommand_from drain resume" \\
  -a "(equipoise backends ls --names 2>/dev/null)"
""",
}
"""Backends are those of the gateway that runs: asked for while completing."""


def completions(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the completion script for a shell.

    Parameters
    ----------
    shell: Literal["bash", "zsh", "fish"]
        For example: equipoise completions bash > ~/.local/share/bash-completion/completions/equipoise
    """
    from equipoise.cli.app import make_app

    say(make_app().generate_completion(shell=shell) + NAMES[shell])
