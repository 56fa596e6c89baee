"""A candidate over the admin listener brings no code, and where nobody shows a key it decides not where questions go."""

from __future__ import annotations

from pathlib import Path

import pytest

from equipoise.canary.candidates import code_brought
from equipoise.cli.canarying import Desk
from equipoise.gateway.canarying import Refused, StartBody
from equipoise.gateway.problems import Problem
from tests.shell.canary.engines import Lab

CODE = [
    "backend_instances: {evil: {backend_type: function, function: 'os:getcwd'}}",
    "backend_instances: {engine: {function: 'os:getcwd'}}",
    "strategy: 'subprocess:Popen'",
    "routes: {auto: {strategy: 'subprocess:Popen'}}",
    "backend_instances: {web: {backend_type: perplexity, api_key: 'file:/etc/passwd'}}",
    "backend_instances: {web: {backend_type: perplexity, api_key: k, headers: {x: ' file:/etc/passwd'}}}",
    "backend_instances: {web: {backend_type: local_llm, endpoint_url: 'https://x', model: m, ca_file: /etc/passwd}}",
]
ELSEWHERE = [
    "backend_instances: {web: {backend_type: local_llm, endpoint_url: 'http://169.254.169.254/', model: m}}",
    "backend_instances: {engine: {allows: [phi]}}",
    "backend_instances: {engine: null, spare: {backend_type: local_llm, endpoint_url: 'http://x', model: m}}",
    "routes: {auto: {backends: [engine]}}",
]


@pytest.mark.parametrize("text", CODE)
@pytest.mark.parametrize("keyed", [True, False])
async def test_no_code_and_no_file_comes_over_http(tmp_path: Path, text: str, keyed: bool) -> None:
    """Whoever shows a key, too: these stand in the configuration file only."""
    async with Lab(tmp_path) as lab:
        with pytest.raises(Refused, match="configuration file only"):
            await Desk(lab.canary, lambda: keyed).start(StartBody(candidate=text, dry_run=True))


@pytest.mark.parametrize("text", ELSEWHERE)
async def test_without_a_key_nobody_says_where_questions_go(tmp_path: Path, text: str) -> None:
    """As for `backends add`; strategies and weights may be tried."""
    async with Lab(tmp_path) as lab:
        with pytest.raises(Problem) as refused:
            await Desk(lab.canary, lambda: False).start(StartBody(candidate=text, dry_run=True))
        assert refused.value.code == "admin_key_required"
        steered = StartBody(candidate="strategy: weighted", dry_run=True)
        assert (await Desk(lab.canary, lambda: False).start(steered))["outcome"] == "planned"


def test_what_the_gateway_names_itself_is_not_brought() -> None:
    """The same code at the same place is the gateway's own."""
    own = {"backend_instances": {"engine": {"function": "a:b"}}, "strategy": "c:D"}
    assert list(code_brought(own, own)) == []
    assert list(code_brought({"backend_instances": {"other": {"function": "a:b"}}}, own)) == [
        "backend_instances.other.function"
    ]
