"""A real LightRAG server with our eight texts in it, the real gateway in front, and ways to break them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from equipoise.backends.lightrag import LightRAGClient
from equipoise.sandbox.real.environment import Environment
from equipoise.sandbox.real.gateway import RealGateway
from equipoise.sandbox.real.processes import Child
from equipoise.sandbox.real.stack import Stack
from equipoise.sandbox.real.texts import read_corpus
from tests.end_to_end.install import PLACE


@pytest.fixture(scope="session")
def environment() -> Environment:
    """The installed software; its absence is a skip, which is a failure where nothing may be skipped."""
    found = Environment(PLACE)
    if not found.ready:
        pytest.skip("not installed: python -m tests.end_to_end.install")
    return found


@pytest.fixture(scope="session")
def stack(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """LightRAG on the scripted model, which answers by quoting, so that every answer is known beforehand."""
    running = Stack(environment, tmp_path_factory.mktemp("stack"), real_model=False)
    running.start(print)
    try:
        running.ingest(read_corpus(None).texts, print)
        yield running
    finally:
        running.stop()


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[LightRAGClient]:
    """Our client of the real server, with the right key."""
    talking = LightRAGClient(f"http://127.0.0.1:{stack.lightrag.port}", api_key=stack.api_key)
    yield talking
    await talking.close()


@pytest.fixture(scope="session")
def gateway(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """The gateway that all tests share that break nothing."""
    yield from serving(RealGateway(stack, tmp_path_factory.mktemp("gateway")))


@pytest.fixture
def fresh_gateway(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """A gateway that has seen nothing yet, for a test that leaves its mark on it."""
    yield from serving(RealGateway(stack, tmp_path_factory.mktemp("fresh")))


def serving(gateway: RealGateway) -> Iterator[RealGateway]:
    gateway.child.start()
    try:
        gateway.child.wait_ready()
        yield gateway
    finally:
        gateway.child.stop()


@pytest.fixture
def no_model(stack: Stack) -> Iterator[None]:
    """LightRAG's language model is dead during the test."""
    yield from absent(stack.rules)


@pytest.fixture
def no_embeddings(stack: Stack) -> Iterator[None]:
    """LightRAG's embedding server is dead during the test."""
    yield from absent(stack.embeddings)


@pytest.fixture
def no_lightrag(stack: Stack) -> Iterator[None]:
    """The LightRAG server itself is dead during the test; what it had indexed is there again afterwards."""
    yield from absent(stack.lightrag)


def absent(child: Child) -> Iterator[None]:
    child.kill()
    try:
        yield
    finally:
        child.start()
        child.wait_ready()
