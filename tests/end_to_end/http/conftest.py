"""On uvloop, as the product runs."""

from tests.wire.http.conftest import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
