"""Schemathesis makes requests from the served document, right ones and wrong ones, and the gateway stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.shell.cli.conftest import GOOD, Served, start

pytestmark = pytest.mark.filterwarnings("ignore")  # of what others wrote
ANSWERS = "def answer(question):\n    return 'forty-two'\n"
EXAMPLES = 30
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]
HOW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("fuzzed")
    (folder / "answers.py").write_text(ANSWERS)
    (folder / "equipoise.yaml").write_text(GOOD)
    process = start("serve", "--port", "0", "--log-level", "error", folder=folder)
    assert process.stdout is not None
    gateway = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    yield gateway
    code, _, err = gateway.stop()
    assert (code, "Traceback" in err) == (0, False), err


@pytest.mark.parametrize("listener", ["public", "admin"])
def test_no_request_makes_the_gateway_fail(served: Served, listener: str) -> None:
    """No 500, and every answer has a status, a kind and a form that the document names."""
    url = served.url if listener == "public" else served.admin_url
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    asked = Counter[int]()
    with requests.Session() as session:
        for result in schema.get_all_operations():
            _fuzz(result.ok(), session, asked)
    assert asked.total() > EXAMPLES * 5
    assert asked[200]
    assert asked[400]


def _fuzz(operation: Any, session: requests.Session, asked: Counter[int]) -> None:
    modes = [GenerationMode.POSITIVE]
    if operation.body or operation.path_parameters or operation.headers:
        modes.append(GenerationMode.NEGATIVE)

    @HOW
    @given(st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes]))
    def tried(case: Any) -> None:
        response = case.call(session=session)
        asked[response.status_code] += 1
        assert response.status_code != 500, case.as_curl_command()
        case.validate_response(response, checks=CHECKS)

    tried()
