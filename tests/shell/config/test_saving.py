"""What is saved loads to the same; what is shown, exampled and described is never out of date."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from equipoise.config import Config
from equipoise.config.example import example
from equipoise.config.load import load
from equipoise.config.save import config_hash, json_schema, leaves, plain, save
from tests.shell.config.conftest import Write, good
from tests.shell.config.test_specification import EXAMPLE

RICH = """\
backend_instances:
  p: {backend_type: perplexity, api: chat, api_key: "${KEY}", price: {input: 1, per_request: 0.005}, supports: []}
  o: {backend_type: openai_direct, endpoint_url: "http://o:1/v1", headers: {x-org: abc}, extra_body: {a: [1, {b: null}]}}
  l: {backend_type: local_llm, endpoint_url: "http://o:1/v1", first_byte_timeout_seconds: 60, corpus: "$${x}"}
strategy: weighted
routes: {careful: {backends: [p, o], fallback: [l], min_quality: 0.9, explore: "off"}}
aliases: {gpt-4o: careful}
keys: {app: "a literal key of a client", other: {sha256: "%s", tenant: t}}
listen: {port: 0, trusted_proxies: [10.0.0.0/8]}
""" % ("0" * 64)


@pytest.mark.parametrize("text", [EXAMPLE, RICH])
@pytest.mark.parametrize("name", ["out.yaml", "out.json"])
def test_load_save_load_gives_the_same(write: Write, text: str, name: str) -> None:
    """In both forms, with references kept as references."""
    environ = {"KEY": "pplx-0123456789abcdef"}
    first = good(text, write, environ).config
    save(first, Path(name))
    assert load(name, environ=environ).config == first
    assert "pplx-0123456789abcdef" not in Path(name).read_text()


def test_a_saved_file_is_its_owners(write: Write) -> None:
    """It may hold keys that were given in clear."""
    save(good(RICH, write, {"KEY": "k"}).config, Path("out.yaml"))
    assert stat.S_IMODE(Path("out.yaml").stat().st_mode) == 0o600


BACKENDS = some.dictionaries(
    some.from_regex(r"[a-z][a-z0-9_\-]{0,10}", fullmatch=True).filter(lambda name: name not in ("weighted", "auto")),
    some.fixed_dictionaries(
        {"backend_type": some.just("lightrag"), "endpoint_url": some.just("http://x:1")},
        optional={
            "weight": some.floats(1e-6, 1e6),
            "quality_score": some.floats(0, 1),
            "max_requests_per_minute": some.none() | some.integers(1, 10**6),
            "corpus": some.text(some.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1),
            "mode": some.sampled_from(["mix", "naive"]),
        },
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=50, deadline=None)
@given(BACKENDS, some.none() | some.integers(0, 2**32))
def test_any_configuration_survives_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, backends: dict[str, Any], seed: int | None
) -> None:
    """Names and texts of all kinds, dollars and braces included."""
    escaped = {
        k: {f: v.replace("${", "$${") if f == "corpus" else v for f, v in b.items()} for k, b in backends.items()
    }
    config = load({"backend_instances": escaped, "seed": seed}, environ={}).config
    path = tmp_path_factory.mktemp("round") / "trip.yaml"
    save(config, path)
    assert load(path, environ={}).config == config


def test_the_hash_changes_with_a_value_but_not_with_a_key(write: Write) -> None:
    """It names a configuration in records, and keys are rotated."""
    hashes = [
        config_hash(good(RICH, write, {"KEY": key}).config) for key in ("pplx-0123456789abc", "pplx-1111111119abc")
    ]
    assert hashes[0] == hashes[1]
    assert config_hash(good(RICH.replace("weighted", "round_robin"), write, {"KEY": "k"}).config) != hashes[0]


def test_the_example_is_valid_and_names_every_field(write: Write) -> None:
    """It is made from the schema, so a new field appears by itself."""
    text = example()
    config = good(text, write).config
    assert list(config.backend_instances) == ["lightrag", "perplexity"]
    names = {str(part) for path, _ in leaves(plain(config, everything=True)) for part in path} - {"lightrag"}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}:", text)] == []


def test_the_defaults_of_the_example_are_the_defaults(write: Write) -> None:
    """Taking the comment signs off the top-level defaults changes nothing."""
    uncommented = "\n".join(
        re.sub(r"^# (?=[a-z_]+: \S)", "", line) for line in example().splitlines() if not line.startswith("# # ")
    )
    assert "\nstrategy: adaptive_learning\n" in uncommented
    assert good(uncommented, write).config == good(example(), write).config


def test_the_json_schema_describes_what_loads() -> None:
    """Every field with a description, a backend without its id."""
    schema = json_schema()
    assert schema["$defs"]["BackendConfig"]["required"] == ["backend_type"]
    assert set(schema["properties"]) == set(Config.model_fields)
    sections = [schema, *(part for part in schema["$defs"].values() if part.get("type") == "object")]
    assert [n for s in sections for n, f in s["properties"].items() if "description" not in f and "$ref" not in f] == []
