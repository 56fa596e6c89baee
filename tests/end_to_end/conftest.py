"""Every test in here needs real software; the marker is put on here, so that no file can forget it."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before anything is deselected by its marker."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("end_to_end")
