"""Where a run must be complete, a skipped end-to-end test makes it fail."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

MARKER = "end_to_end"

# How fast a machine that does other things draws examples says nothing about the product.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


# A shell that starts tests in the background lets them ignore Ctrl-C, and so would every process they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped end-to-end test makes the run fail")


def must_be_complete(config: pytest.Config) -> bool:
    """Told by --no-skips or by CI=true."""
    return bool(config.getoption("--no-skips")) or os.environ.get("CI") == "true"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a green run with skipped end-to-end tests into a red one, and say so."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not must_be_complete(session.config):
        return
    reports = reporter.stats.get("skipped", [])
    skipped = [each.nodeid for each in reports if MARKER in each.nodeid or MARKER in getattr(each, "keywords", ())]
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"\n{len(skipped)} skipped where nothing may be, the first: {skipped[0]}", red=True)
