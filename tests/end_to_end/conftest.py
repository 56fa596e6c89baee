"""Every test in here needs real software; where a run must be complete, a skipped one makes it fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMPLETE = "EQUIPOISE_NO_SKIPS"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped end-to-end test makes the run fail")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The marker is put on here, so that no file of this directory can forget it."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("end_to_end")


def must_be_complete(config: pytest.Config) -> bool:
    """Told by --no-skips, by EQUIPOISE_NO_SKIPS=1, or by CI=true."""
    told = config.getoption("--no-skips", default=False)
    return bool(told) or os.environ.get(COMPLETE) == "1" or os.environ.get("CI") == "true"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a green run with skipped tests of this directory into a red one, and say which they were."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not must_be_complete(session.config):
        return
    skipped = [report.nodeid for report in reporter.stats.get("skipped", []) if "end_to_end" in report.nodeid]
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"\n{len(skipped)} skipped where nothing may be, the first: {skipped[0]}", red=True)
