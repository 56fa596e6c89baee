"""Exit codes, streams, colours, and how commands fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise.cli import app, exits
from equipoise.cli.output import cell, shows_colour, table
from tests.patience import until_true
from tests.shell.cli.conftest import ROOT, Run, start

BAD = "backend_instances:\n  a: {backend_type: lightrag, endpoint_url: nowhere}\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("version",), 0),
        (("--help",), 0),
        (("serve", "--help"), 0),
        (("check",), 0),
        (("check", "-c", "bad.yaml"), 1),
        (("check", "-c", "absent.yaml"), 2),
        (("check", "-c", "broken.yaml"), 2),
        (("serve", "-c", "bad.yaml"), 2),
        (("config", "show", "-c", "bad.yaml"), 2),
        (("ask", "x", "-c", "absent.yaml"), 2),
        (("serv",), 2),
        (("serve", "--prot", "1"), 2),
        (("serve", "--port", "many"), 2),
        (("ask",), 2),
        (("ask", "x", "--url", "nonsense"), 2),
        (("backends", "ls", "--admin-url", "http://127.0.0.1:1"), 3),
        (("ask", "x", "--url", "http://127.0.0.1:1"), 3),
        (("serve", "--host", "0.0.0.0", "--port", "0"), 4),
        (("init", "equipoise.yaml"), 4),
        (("doctor", "--live"), 4),
    ],
)
def test_exit_codes_are_those_the_help_names(oracle: Path, run: Run, arguments: tuple[str, ...], code: int) -> None:
    """0 well, 1 problems, 2 usage or configuration, 3 unreachable, 4 refused by a guard."""
    (oracle.parent / "bad.yaml").write_text(BAD)
    (oracle.parent / "broken.yaml").write_text("a: [")
    ran = run(*arguments)
    assert ran.code == code
    assert (code != 0) <= bool(ran.err)
    assert "Traceback" not in ran.err


def test_the_help_names_every_exit_code(run: Run) -> None:
    """So that scripts can rely on them."""
    codes = [getattr(exits, name) for name in ("OK", "PROBLEMS", "USAGE", "UNREACHABLE", "REFUSED", "INTERRUPTED")]
    assert codes == [0, 1, 2, 3, 4, 130]
    told = " ".join(run("--help").out.split())
    assert all(f"{code} " in told or f"{code}:" in told for code in codes)


def test_a_misspelt_command_is_corrected(run: Run) -> None:
    """With a suggestion, on stderr."""
    ran = run("serv")
    assert 'Did you mean "serve"' in " ".join(ran.err.replace("│", "").split())
    assert ran.out == ""


def test_every_command_has_a_help_with_its_parameters(run: Run) -> None:
    """Each option is described."""
    names = [(name,) for name in app.COMMANDS] + [
        (noun, verb) for noun, (_, verbs) in app.NOUNS.items() for verb in verbs
    ]
    for name in names:
        ran = run(*name, "--help")
        assert ran.code == 0
        assert f"Usage: equipoise {' '.join(name)}" in ran.out


def test_ctrl_c_is_130(oracle: Path) -> None:
    """Without a traceback, while a question is being answered."""
    (oracle.parent / "answers.py").write_text(
        "import asyncio, pathlib\nasync def answer(q):\n    pathlib.Path('asked').touch()\n    await asyncio.sleep(60)\n"
    )
    process = start("ask", "slow", folder=oracle.parent)
    until_true((oracle.parent / "asked").exists, 15.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in err) == (130, False)


def test_a_defect_of_ours_is_one_line_unless_debug(folder: Path) -> None:
    """And says how to see more."""
    code = "import equipoise.cli.version as v, sys\nv.versions = None\nfrom equipoise.cli import main\nsys.exit(main(sys.argv[1:]))"
    for flags, traceback in (([], False), (["--debug"], True)):
        ran = subprocess.run(
            [sys.executable, "-c", code, "version", "--json", *flags],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 1
        assert ("Traceback" in ran.stderr) is traceback
        assert ("--debug" in ran.stderr) is not traceback


def test_a_reader_that_leaves_is_no_error(folder: Path) -> None:
    """`equipoise config schema | head -1`"""
    command = f"{sys.executable} -m equipoise config schema | head -1; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(
        ["bash", "-c", command], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["{", "0"]
    assert ran.stderr == ""


def test_colours_are_for_terminals_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR beats FORCE_COLOR."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert not shows_colour(sys.stdout)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert shows_colour(sys.stdout)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not shows_colour(sys.stdout)


def test_no_color_is_an_option_of_every_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the colours out of errors, too."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b[" in run("check", "-c", "x").err + run("backends", "ls", "--admin-url", "http://127.0.0.1:1").err
    assert "\x1b[" not in run("--no-color", "backends", "ls", "--admin-url", "http://127.0.0.1:1").err


def test_a_table_is_aligned_and_never_lets_text_break_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers to the right; line breaks and escape codes of others become spaces."""
    table(("name", "n"), [("a", 1), ("long\nname\x1b[31m", 100), (None, None)])
    assert (
        capsys.readouterr().out
        == "name              n\na                 1\nlong name [31m  100\n-                 -\n"
    )
    assert cell(True) == "yes"


def test_version_as_json_is_one_document(run: Run) -> None:
    """With what it stands on."""
    assert {"equipoise", "python", "httptools"} <= set(json.loads(run("version", "--json").out))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_know_the_commands(run: Run, shell: str) -> None:
    """For the three shells."""
    assert "serve" in run("completions", shell).out


def test_every_command_that_reads_prints_tables_json_and_yaml(run: Run) -> None:
    """`-o` goes wherever `--json` does; five print a file of their own, or a show."""
    names = [(name,) for name in app.COMMANDS] + [
        (noun, verb) for noun, (_, verbs) in app.NOUNS.items() for verb in verbs
    ]
    helps = {" ".join(name): run(*name, "--help").out for name in names}
    without = [name for name, text in helps.items() if "--json" in text and "-o" not in text.split()]
    assert set(without) <= {"demo", "sandbox", "top", "config convert", "migrate vendor"}


def test_version_as_yaml_is_one_document(run: Run) -> None:
    """The same as its JSON, for people."""
    assert run("version", "-o", "yaml").out.startswith("equipoise: ")


def test_linear_algebra_starts_no_threads_of_its_own() -> None:
    """Threads that wait for each other on busy cores once held up a gateway for ten seconds."""
    script = (
        "import os; from equipoise.cli import main; main(['version']); import numpy; "
        "numpy.linalg.eigh(numpy.eye(300)); print('threads', len(os.listdir('/proc/self/task')))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "threads 1"


def test_what_this_user_may_not_open_is_no_defect_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever command meets it: the file and what to do, and no invitation to report it."""

    def denied(*given: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied", "/srv/state/ledger.sqlite3")

    monkeypatch.setattr(app, "make_app", lambda: denied)
    assert app.run(["ledger", "query"]) == exits.USAGE
    said = capsys.readouterr().err
    assert "/srv/state/ledger.sqlite3 may not be opened by this user" in said
    assert "hint:" in said
    assert "unexpected" not in said
