"""docs/observability.md can be followed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from equipoise.config.load import load
from equipoise.core.model import Answer, Message, Question
from equipoise.telemetry.hooks import Hook, HookContext, Hooks

PAGE = (Path(__file__).parents[3] / "docs" / "observability.md").read_text("utf-8")
SNIPPETS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ENVIRON = {
    "ALERT_WEBHOOK_URL": "https://hooks.slack.com/services/x",
    "ALERT_WEBHOOK_SECRET": "s",
    "COST_ALERT_WEBHOOK": "https://money.example/x",
}


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_configuration_of_the_page_loads(snippet: str, tmp_path: Path) -> None:
    """Beside a backend."""
    file = tmp_path / "shown.yaml"
    backend = "backend_instances:\n  a: {backend_type: local_llm, endpoint_url: 'http://127.0.0.1:9/v1', model: m}\n"
    file.write_text(backend + snippet)
    said: dict[str, Any] = YAML(typ="safe").load(snippet)
    loaded = load(file, environ=ENVIRON)
    assert said.keys() <= loaded.config.model_fields_set
    assert loaded.warnings == ()


async def test_the_hooks_of_the_page_work(capsys: pytest.CaptureFixture[str]) -> None:
    """They redact and export."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    space: dict[str, Any] = {}
    exec(compile(code, "observability.md", "exec"), space)
    hooks = Hooks([Hook("r", space["redact"], 5.0)], [Hook("e", space["export"], 5.0)])
    context = HookContext(request_id="req-1", tenant="t", model="auto", stream=False, backend_id="papers")
    asked = await hooks.asked(Question(messages=[Message("user", "call 555-1234")]), context)
    assert asked.text == "call [phone]"
    await hooks.answered(Answer(text="four"), context)
    await asyncio.sleep(0)
    assert capsys.readouterr().out == "req-1 papers 4\n"
    assert hooks.status() == {"r": {"changed": 1}, "e": {"ok": 1}}
