"""`equipoise completions`"""

from __future__ import annotations

from typing import Literal

from equipoise.cli.output import say


def completions(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the completion script for a shell.

    Parameters
    ----------
    shell: Literal["bash", "zsh", "fish"]
        For example: equipoise completions bash > ~/.local/share/bash-completion/completions/equipoise
    """
    from equipoise.cli.app import make_app

    say(make_app().generate_completion(shell=shell))
