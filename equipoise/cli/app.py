"""The commands and what happens around each: options that all have, errors, exit codes.

`serve` runs in this process after cyclopts has read its options: that costs 3 MiB and 60 ms, and rich stays out, which
is imported only to print help and usage errors. So no second, leaner program is started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from cyclopts import App, CycloptsError

import equipoise
from equipoise.cli.exits import INTERRUPTED, OK, USAGE, Failure
from equipoise.cli.output import QUIET, RED, VERBOSE, harmless, painted, tell

HELP = """A load balancer and gateway for answer engines: LightRAG, Perplexity and any OpenAI-compatible LLM.

Every command also takes -q (no warnings), -v (what it reads and asks), --debug (show tracebacks) and --no-color. Exit codes: 0 all is well, 1 problems were found, 2 the
command line or the configuration is wrong, 3 no gateway answers, 4 refused without --yes, --force or --insecure, 130 Ctrl-C.
"""
COMMANDS = {
    "demo": (
        "equipoise.cli.demo:demo",
        "See it work: four engines on this machine, 120 questions, one of them killed.",
    ),
    "serve": ("equipoise.cli.serve:serve", "Run the gateway."),
    "ask": ("equipoise.cli.ask:ask", "Ask one question and see answer, sources, cost and reason."),
    "init": ("equipoise.cli.init:init", "Write a commented example configuration."),
    "check": ("equipoise.cli.check:check", "Say what is wrong with a configuration; contacts nothing."),
    "doctor": (
        "equipoise.cli.doctor:doctor",
        "Look at everything an answer depends on; one thing to paste in a bug report.",
    ),
    "simulate": ("equipoise.cli.simulate:simulate", "Play a scenario in virtual time, under any strategy."),
    "sandbox": ("equipoise.cli.sandbox:sandbox", "Run engines with faults that can be switched, for your own tests."),
    "top": ("equipoise.cli.top:top", "Watch backends, budgets and alerts of a running gateway."),
    "loadtest": ("equipoise.cli.loadtest:loadtest", "Ask at a fixed rate and say how it went; can fail a pipeline."),
    "completions": ("equipoise.cli.completions:completions", "Print the completion script for a shell."),
    "version": ("equipoise.cli.version:version", "Print the version."),
}
NOUNS = {
    "config": (
        "Show the configuration and its schema; change it while a gateway runs.",
        {
            "show": ("equipoise.cli.config:show", "Print every effective value, and where it came from."),
            "set": ("equipoise.cli.steering:set_values", "Change single values of a running gateway."),
            "reload": ("equipoise.cli.steering:reload", "Have a running gateway read its configuration again."),
            "save": ("equipoise.cli.steering:save", "Write what was changed at run time into the gateway's file."),
            "schema": ("equipoise.cli.config:schema", "Print the JSON Schema of a configuration file, for editors."),
            "convert": ("equipoise.cli.convert:convert", "Turn the earlier system's files and variables into ours."),
        },
    ),
    "backends": (
        "Look at the backends of a running gateway, and steer them.",
        {
            "ls": ("equipoise.cli.backends:ls", "List the backends of a running gateway and how they are."),
            "watch": ("equipoise.cli.watching:watch", "Look at them again and again, and say how it went."),
            "drain": ("equipoise.cli.steering:drain", "Give a backend no new questions."),
            "resume": ("equipoise.cli.steering:resume", "Take a drained backend back."),
            "add": ("equipoise.cli.rearranging:add", "Add a backend to a running gateway."),
            "update": ("equipoise.cli.rearranging:update", "Change fields of a running gateway's backend."),
            "rm": ("equipoise.cli.rearranging:rm", "Take a backend away; its questions under way are answered."),
        },
    ),
    "alerts": (
        "See what is wrong with a running gateway, and who is told.",
        {
            "ls": ("equipoise.cli.alerts:ls", "List what is wrong."),
            "ack": ("equipoise.cli.alerts:ack", "Acknowledge an alert: no more reminders of it."),
            "test": ("equipoise.cli.alerts:send_test", "Send a test notice to those who are told of alerts."),
        },
    ),
    "learning": (
        "Look at what was learned of each backend.",
        {
            "show": (
                "equipoise.cli.learning:show",
                "Show beliefs and learned weights by kind of question, with intervals.",
            )
        },
    ),
    "quality": (
        "Look at how good the answers are.",
        {"report": ("equipoise.cli.quality:report", "Show quality, cost and quality per dollar, with intervals.")},
    ),
    "cache": (
        "What is kept of answers: list, let go.",
        {
            "ls": ("equipoise.cli.cache:ls", "List the answers a running gateway keeps."),
            "purge": ("equipoise.cli.cache:purge", "Let go of kept answers, at once."),
        },
    ),
    "budget": (
        "Look at what may be spent, and steer it.",
        {
            "ls": ("equipoise.cli.budget:ls", "List the budgets of a running gateway and how they stand."),
            "set": ("equipoise.cli.budget:set_limit", "Change a budget's limit for all gateways that share it."),
            "reset": ("equipoise.cli.budget:reset", "Forget what was spent from a budget."),
        },
    ),
    "dashboards": (
        "Grafana's dashboards.",
        {
            "export": ("equipoise.cli.dashboards:export", "Write them as JSON files."),
            "push": ("equipoise.cli.dashboards:push", "Put them into a Grafana."),
        },
    ),
    "routes": (
        "Look at how questions are routed.",
        {"explain": ("equipoise.cli.routes:explain", "Say who would be asked, and why; asks nobody.")},
    ),
    "keys": (
        "Make, list and revoke the keys that clients show.",
        {
            "create": ("equipoise.cli.keys:create", "Make a key and print it, this once."),
            "ls": ("equipoise.cli.keys:ls", "List the keys; none is shown in full."),
            "revoke": ("equipoise.cli.keys:revoke", "Make a key worthless, in running gateways too."),
            "rotate": ("equipoise.cli.keys:rotate", "Give a key a new secret; the former stays good for a while."),
        },
    ),
    "audit": (
        "Look at what people did.",
        {
            "ls": ("equipoise.cli.audit:ls", "List admin actions and changes of keys."),
            "verify": ("equipoise.cli.audit:verify", "Say whether the journal is whole."),
        },
    ),
    "tenant": (
        "See what is kept of a tenant's questions, and take it out.",
        {
            "content": ("equipoise.cli.tenant:content", "Show the words that were kept, where any are."),
            "purge": ("equipoise.cli.tenant:purge", "Remove what tells of a tenant's questions; the bill stays."),
        },
    ),
    "store": (
        "Copy what outlives the process, and put it back.",
        {
            "backup": ("equipoise.cli.store:backup", "Copy ledger and state store while gateways run."),
            "restore": ("equipoise.cli.store:restore", "Put a backup back while none runs."),
        },
    ),
    "prices": (
        "Look at what each backend charges, and by whose word.",
        {
            "ls": ("equipoise.cli.prices:ls", "List the price of every backend."),
            "show": ("equipoise.cli.prices:show", "Show what every source says of one backend, and which one counts."),
            "diff": ("equipoise.cli.prices:diff", "Compare the prices that count with those that are published."),
        },
    ),
    "ledger": (
        "Read the record of every attempt.",
        {
            "query": ("equipoise.cli.ledger:query", "Show records, or sums over them."),
            "export": ("equipoise.cli.ledger:export", "Write records as CSV, JSON Lines or Parquet."),
            "report": ("equipoise.cli.ledger:report", "Say what was spent, and what it would have been elsewhere."),
        },
    ),
    "canary": (
        "Try a candidate beside the running configuration, watched and rolled back by itself.",
        {
            "start": ("equipoise.cli.canary:start", "Send a few percent of keys to a candidate."),
            "status": ("equipoise.cli.canary:status", "Show where it stands, and on what evidence."),
            "promote": ("equipoise.cli.canary:promote", "Climb one rung, or all of them."),
            "pause": ("equipoise.cli.canary:pause", "Stay on this rung; what is worse is still rolled back."),
            "resume": ("equipoise.cli.canary:resume", "Climb again."),
            "abort": ("equipoise.cli.canary:abort", "Give everything back to the control, at once."),
            "undo": ("equipoise.cli.canary:undo", "Go back to the share before the last change."),
            "set-weight": ("equipoise.cli.canary:set_weight", "Send exactly so many percent of keys."),
            "ls": ("equipoise.cli.canary:ls", "List the changes of the present canary and those before it."),
        },
    ),
    "policy": (
        "Judge another policy by recorded decisions before it is trusted.",
        {
            "replay": ("equipoise.cli.policy:replay", "Say what another configuration would have done."),
            "compare": ("equipoise.cli.policy:compare", "Compare configurations and backends: quality against cost."),
        },
    ),
    "migrate": (
        "Move from an older system to this one, in five phases.",
        {
            "plan": ("equipoise.cli.migrate:plan", "Say what the next phase does and what holds it back."),
            "apply": ("equipoise.cli.migrate:apply", "Begin the next phase, or take exactly so many percent."),
            "status": ("equipoise.cli.migrate:status", "Show where the move stands, and on what evidence."),
            "rollback": ("equipoise.cli.migrate:rollback", "Go back to an earlier phase, at once."),
            "vendor": (
                "equipoise.cli.migrate_vendor:vendor",
                "Write the specified modules into an application's package of that name.",
            ),
        },
    ),
}


def make_app() -> App:
    """The tree of commands."""
    app = App(name="equipoise", help=HELP, version=equipoise.__version__, help_format="plaintext")
    for name, (place, text) in COMMANDS.items():
        app.command(place, name=name, help=text)
    for noun, (text, verbs) in NOUNS.items():
        group = App(name=noun, help=text, help_format="plaintext")
        for verb, (place, says) in verbs.items():
            group.command(place, name=verb, help=says)
        app.command(group)
    return app


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code."""
    if _take(arguments, "--no-color"):
        os.environ["NO_COLOR"] = "1"
    if _take(arguments, "--quiet") or _take(arguments, "-q"):
        with _set(QUIET):
            return run(arguments)
    if _take(arguments, "--verbose") or _take(arguments, "-v"):
        with _set(VERBOSE):
            return run(arguments)
    if _take(arguments, "--debug"):
        return _run(arguments)
    before, sys.excepthook = sys.excepthook, _brief
    code = _run(arguments)
    sys.excepthook = before
    return code


@contextmanager
def _set(name: str) -> Iterator[None]:
    """For this command and what it starts."""
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]


def _run(arguments: list[str]) -> int:
    try:
        result = make_app()(arguments, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return USAGE
    except Failure as failure:
        complain(str(failure))
        return failure.code
    except PermissionError as error:  # no defect of ours, whichever command meets it
        complain(
            f"{error.filename or error} may not be opened by this user\n  hint: run it as who owns it (`ls -ld` says who)"
        )
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    return result if isinstance(result, int) else OK


def complain(text: str) -> None:
    """An error, to stderr."""
    tell(f"{painted('error:', RED, sys.stderr)} {harmless(text)}")


def _take(arguments: list[str], flag: str) -> bool:
    """Is the flag among the options (before a lone --)? Removes it."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if flag not in options:
        return False
    arguments.remove(flag)
    return True


def _brief(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """For what no command foresaw: a defect of ours in one line; the interpreter exits with 1."""
    complain(f"unexpected {kind.__name__}: {error}\n  hint: run it again with --debug and report what it prints")
