"""Every command, from the command line itself."""

from __future__ import annotations

from equipoise.cli.app import make_app

HEAD = """\
# Command line

Answers, tables and documents go to stdout; warnings, progress and errors to stderr. `--json` (or `-o json`) prints one
document. Every command also takes `-q` (`--quiet`), `-v` (`--verbose`), `--debug` and `--no-color`; `NO_COLOR` and `FORCE_COLOR` are heeded.

| exit code | |
|---|---|
| 0 | all is well |
| 1 | a check found problems, an answer could not be had, a gate failed |
| 2 | the command line or the configuration is wrong, or a file cannot be read or written |
| 3 | no gateway answers there |
| 4 | a guard refused: `--yes`, `--force` or `--insecure` would be needed |
| 130 | Ctrl-C |

"""


def command_line() -> str:
    """The page."""
    text = make_app().generate_docs(output_format="markdown", heading_level=1)
    return HEAD + text[text.index("## equipoise ") :]
