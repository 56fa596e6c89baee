"""What these tests share: engines on loopback, configurations over them, and an environment that names nothing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from equipoise.config.environment import EVERY_NAME
from equipoise.sandbox import SandboxBackend, seeded
from lightrag_integration.production_config_schema import BackendInstanceConfig, ProductionLoadBalancingConfig
from lightrag_integration.production_load_balancer import ProductionLoadBalancer

ROOT = Path(__file__).parents[2]
SNIPPETS = ROOT / "tests" / "fixtures" / "specification"
QUESTION = "What is clinical metabolomics?"
KINDS = {
    "lightrag": "graph_deep",
    "perplexity": "web_search",
    "openai_direct": "general_llm",
    "local_llm": "general_llm",
}

Start = Callable[..., Awaitable[SandboxBackend]]
Balance = Callable[..., ProductionLoadBalancer]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder and an environment that names nothing."""
    monkeypatch.chdir(tmp_path)
    for name in [*EVERY_NAME, *(name for name in os.environ if name.startswith("EQUIPOISE_"))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start an engine of a kind, without pauses unless told otherwise."""
    running: list[SandboxBackend] = []

    async def one(kind: str, **changes: float) -> SandboxBackend:
        profile = next(profile for profile in seeded(1) if profile.name == KINDS[kind])
        running.append(
            SandboxBackend(msgspec.structs.replace(profile, **({"first_token": 0.0, "per_token": 0.0} | changes)))
        )
        await running[-1].start()
        return running[-1]

    yield one
    for backend in running:
        await backend.stop()


def backend_config(name: str, kind: str, engine: SandboxBackend, **fields: object) -> BackendInstanceConfig:
    """A backend over an engine; the models are those that engines have."""
    url = engine.url if kind in ("lightrag", "perplexity") else f"{engine.url}/v1"
    fields.setdefault("api_key", "sandbox")
    if kind in ("openai_direct", "local_llm"):
        fields.setdefault("extra", {"model": "gpt-4o-mini"})
    return BackendInstanceConfig(id=name, backend_type=kind, endpoint_url=url, **fields)  # type: ignore[arg-type]


@pytest.fixture
async def balance() -> AsyncIterator[Balance]:
    """A balancer over backends; closed at the end."""
    made: list[ProductionLoadBalancer] = []

    def one(
        *backends: BackendInstanceConfig, features: dict[str, bool] | None = None, **fields: object
    ) -> ProductionLoadBalancer:
        fields.setdefault("strategy", "round_robin")
        config = ProductionLoadBalancingConfig(backend_instances={of.id: of for of in backends}, **fields)  # type: ignore[arg-type]
        made.append(ProductionLoadBalancer(config, features))
        return made[-1]

    yield one
    for balancer in made:
        await balancer.stop_monitoring()
