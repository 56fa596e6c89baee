"""What is wrong is said all at once, with its place, in a form that editors follow."""

from __future__ import annotations

import pytest

from equipoise.config import ConfigurationError
from equipoise.config.load import load
from tests.shell.config.conftest import Write, told

RIGHT = "backend_instances:\n  a: {backend_type: lightrag, endpoint_url: 'http://x:1'}\n"


def test_everything_is_told_at_once_in_the_order_of_the_file(write: Write) -> None:
    """Errors of fields, of unknown names and of rules between fields come together."""
    text = """\
backend_instances:
  a:
    backend_type: lightrg
    wieght: 1
  b:
    backend_type: perplexity
    mode: mix
    price: {ouput: 2}
routes:
  r: {backends: [a, c], strategy: wheighted}
aliases: {gpt-4o: autoo}
"""
    assert (
        told(text, write)
        == """\
equipoise.yaml:3:5: backend_instances.a.backend_type: must be one of lightrag, perplexity, openai_direct, local_llm, function (got 'lightrg')
  hint: did you mean lightrag?
equipoise.yaml:4:5: backend_instances.a.wieght: is not a known field
  hint: did you mean weight?
equipoise.yaml:7:5: backend_instances.b.mode: is only for backend_type lightrag, this one is perplexity
equipoise.yaml:8:13: backend_instances.b.price.ouput: is not a known field
  hint: did you mean output?
equipoise.yaml:10:21: routes.r.backends.1: there is no backend of this name (got 'c')
equipoise.yaml:10:25: routes.r.strategy: must be one of round_robin, weighted, health_aware, weighted_round_robin, cost_optimized, performance_based, adaptive_learning, quality_based (got 'wheighted')
  hint: did you mean weighted?
equipoise.yaml:11:11: aliases.gpt-4o: there is no route, strategy or backend of this name (got 'autoo')
  hint: did you mean auto?"""
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "backend_instances:\n  a: [1\n",
            "equipoise.yaml:3:1: is not valid YAML: expected ',' or ']', but got '<stream end>'",
        ),
        ("a: !!bool maybe\n", "equipoise.yaml: is not valid YAML: a value is not of the kind that its tag"),
        ("a: 1\na: 2\n", "equipoise.yaml:2:1: is not valid YAML: found duplicate key"),
        ("a: {key: ${NAME}, b: 1}\n", 'inside {…} a reference wants quotes: "${NAME}"'),
        ("", "equipoise.yaml: the file is empty"),
        ("- 1\n", "equipoise.yaml: must be a mapping of fields"),
        ("a: !!python/object:os.system x\n", "equipoise.yaml"),
    ],
)
def test_what_is_no_data_is_told_in_the_same_form(write: Write, text: str, message: str) -> None:
    """A syntax error has file, line and column too."""
    assert message in told(text, write)


@pytest.mark.parametrize(
    "line",
    [
        "api_key: hunter2hunter2\napi_key: hunter2hunter2",
        "a: {api_key: hunter2hunter2}\na: {api_key: x}",
        "a: {api_key: x}\na: {api_key: hunter2hunter2}",
        "api_key: *hunter2hunter2",
        "api_key: &hunter2hunter2\nb: *nobody",
        "api_key: !hunter2hunter2 x",
        "api_key: !!int hunter2hunter2",
        "api_key: !!float hunter2hunter2",
        "api_key: !!timestamp hunter2hunter2",
        "api_key: !!bool hunter2hunter2",
        "api_key: 0o9hunter2hunter2: x",
        'api_key: "hunter2hunter2\\q"',
        "api_key: %hunter2hunter2",
        "api_key: @hunter2hunter2",
        "api_key: `hunter2hunter2",
        "api_key: |hunter2hunter2",
        "api_key: 'hunter2hunter2",
        "%hunter2hunter2",
    ],
)
def test_no_value_of_a_file_that_is_no_yaml_is_repeated(write: Write, line: str) -> None:
    """A key that stands there twice, or that YAML takes for an alias or a tag, is a key all the same."""
    assert "hunter2" not in told(line + "\n", write)


def test_a_key_that_is_no_json_is_not_repeated(write: Write) -> None:
    """Neither by a syntax error nor as a duplicate."""
    for text in ('{"api_key": "hunter2hunter2" x}', '{"api_key": hunter2hunter2}', '{"a": "hunter2", "a": "hunter2"}'):
        assert "hunter2" not in told(text, write, name="e.json")


def test_a_file_of_aliases_upon_aliases_is_refused_instead_of_filling_the_memory(write: Write) -> None:
    """Ten references to ten references to ... stop at a count."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "holds more than" in told("\n".join(levels), write)


def test_json_says_line_and_column_too(write: Write) -> None:
    """For values as for syntax."""
    wrong = (
        '{\n  "backend_instances": {"a": {"backend_type": "lightrag", "endpoint_url": "http://x:1"}},\n  "seed": -1\n}'
    )
    assert told(wrong, write, name="e.json") == "e.json:3:3: seed: Seed must not be negative (got -1)"
    assert told('{"a": }', write, name="e.json").startswith("e.json:1:7: is not valid JSON: ")


def test_a_missing_reference_names_the_variable_and_the_place(write: Write) -> None:
    """An unset ${VAR} is no empty text."""
    text = RIGHT + "state_dir: ${NOWHERE}\n"
    assert told(text, write) == (
        "equipoise.yaml:3:1: state_dir: the environment variable NOWHERE is not set\n"
        "  hint: set it, or give a default: ${NOWHERE:-...}"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("routes: {r: {backends: []}}", "routes.r.backends: must not be empty"),
        ("routes: {a: {}}", "routes.a: a route cannot be named like a strategy or a backend"),
        ("routes: {r: {fallback: [r]}}", "routes.r.fallback: a route cannot fall back to itself"),
        ("routes: {r: {fallback: [q]}}", "routes.r.fallback.0: there is no backend or route of this name (got 'q')"),
        ("aliases: {auto: a}", "aliases.auto: this name is already a route, strategy or backend"),
        ("keys: {k: {}}", "keys.k: needs either key or sha256"),
        ("keys: {k: {sha256: abc}}", "keys.k.sha256: must be 64 hexadecimal digits"),
        ("listen: {port: 70000}", "listen.port: Port must be between 0 and 65535 (got 70000)"),
        ("listen: 4000", "listen: must be a mapping of fields (got 4000)"),
        ("server: nginx", "server: must be one of own, uvicorn (got 'nginx')"),
        ("backend_instance: {}", "backend_instance: is not a known field\n  hint: did you mean backend_instances?"),
    ],
)
def test_rules_between_fields(write: Write, line: str, message: str) -> None:
    """Names must exist, keys must be one thing, ports must be ports."""
    assert message in told(RIGHT + line, write)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("backend_type: lightrag", "endpoint_url: is required for backend_type lightrag"),
        ("backend_type: local_llm", "endpoint_url: is required for backend_type local_llm"),
        ("backend_type: function", "function: is required for backend_type function"),
        ("backend_type: function, function: nothing", "function: must be written module:callable (got 'nothing')"),
        ("weight: 1", "backend_type: is required"),
    ],
)
def test_what_a_kind_of_backend_needs(write: Write, backend: str, message: str) -> None:
    """A place to ask, or a function to call."""
    assert f"backend_instances.a.{message}" in told(f"backend_instances:\n  a: {{{backend}}}\n", write)


def test_a_file_that_cannot_be_read_says_so() -> None:
    """And what would make one."""
    with pytest.raises(ConfigurationError) as caught:
        load("/nowhere/equipoise.yaml", environ={})
    assert caught.value.unreadable
    assert str(caught.value).startswith("/nowhere/equipoise.yaml: cannot be read: No such file or directory")


def test_errors_from_variables_and_flags_name_their_place(write: Write) -> None:
    """Not the file's, when the file did not say it."""
    assert "$EQUIPOISE_LISTEN__PORT: listen.port: must be a whole number (got 'x')" in told(
        RIGHT, write, {"EQUIPOISE_LISTEN__PORT": "x"}
    )
    with pytest.raises(ConfigurationError, match=r"^--port: listen\.port: Port must be"):
        load(write(RIGHT), environ={}, flags={"listen.port": -1})
