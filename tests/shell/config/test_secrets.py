"""Secrets come by reference and are never printed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from equipoise.config import Config, Secret
from equipoise.config.errors import ConfigurationError
from equipoise.config.load import load
from equipoise.config.save import plain
from equipoise.config.secret import without_secrets
from tests.shell.config.conftest import Write, good, told

KEY = "pplx-abcdefghijklmnop3f9a"
TEXT = "backend_instances:\n  p:\n    backend_type: perplexity\n    api_key: {key}\n"


def test_a_key_prints_as_its_prefix_and_its_end() -> None:
    """Enough to tell keys apart, not enough to use one; a short one shows nothing."""
    assert str(Secret(KEY)) == "pplx-…3f9a"
    assert repr(Secret(KEY)) == "Secret(pplx-…3f9a)"
    assert str(Secret("hunter2")) == "…"


def test_no_way_of_printing_a_configuration_shows_a_key(write: Write) -> None:
    """Not repr, not a dump, not the redacted document, not the tree it was read from."""
    text = TEXT.format(key=KEY) + f"    headers: {{x-extra: {KEY}}}\nkeys: {{app: {KEY}}}\n"
    loaded = good(text, write)
    shown = (
        repr(loaded) + str(loaded.config) + loaded.config.model_dump_json() + str(plain(loaded.config, everything=True))
    )
    assert KEY not in shown
    assert "pplx-…3f9a" in shown


@pytest.mark.parametrize(
    "line",
    [
        f"api_key: [{KEY}]",
        f"endpoint_url: {KEY}",
        "endpoint_url: https://user:" + KEY + "@api.perplexity.ai",
        f"api_keys: {KEY}",
        f"weight: {KEY}",
    ],
)
def test_no_error_shows_a_key_even_in_the_wrong_place(write: Write, line: str) -> None:
    """A key pasted into another field is masked in the complaint about it."""
    assert KEY not in told(f"backend_instances:\n  p:\n    backend_type: perplexity\n    {line}\n", write)


def test_a_key_may_be_a_reference_a_default_or_a_file(write: Write) -> None:
    """${VAR}, ${VAR:-default}, file:/path with its newline cut."""
    secret_file = write(KEY + "\n", "key.txt").resolve()
    for said in ("${THE_KEY}", "${NOT_SET:-" + KEY + "}", f"file:{secret_file}"):
        key = good(TEXT.format(key=said), write, {"THE_KEY": KEY}).config.backend_instances["p"].api_key
        assert key is not None
        assert (key.reveal(), key.reference) == (KEY, said)


def test_a_missing_secret_file_is_told_without_ado(write: Write) -> None:
    """With the path, which is no secret."""
    message = "api_key: cannot read the secret file /nowhere/key: No such file or directory"
    assert message in told(TEXT.format(key="file:/nowhere/key"), write)


def test_a_key_with_a_line_break_is_refused() -> None:
    """It would be a second header."""
    with pytest.raises(ValueError, match="one line"):
        Secret.parse("a\r\nx-evil: 1")


def test_text_is_freed_of_what_looks_like_a_key() -> None:
    """For messages that others wrote."""
    assert without_secrets(f"bad key {KEY} at http://me:pass@host/") == "bad key pplx-…3f9a at http://…@host/"


def test_two_dollars_keep_a_reference_as_text() -> None:
    """$${x} is ${x}."""
    backend = {"backend_type": "lightrag", "endpoint_url": "http://x:1", "corpus": "$${x}"}
    assert load({"backend_instances": {"a": backend}}).config.backend_instances["a"].corpus == "${x}"


def test_fields_for_an_upstream_alone_are_shown_without_their_keys() -> None:
    """`extra_body` is anybody's: what its name or look says is a key is masked, at any depth; a saved file keeps it."""
    backend = {
        "backend_type": "perplexity",
        "api_key": KEY,
        "extra_body": {"a": [{"api_key": KEY}], "note": f"use {KEY}"},
    }
    config = load({"backend_instances": {"p": backend}}).config
    assert KEY not in str(plain(config, everything=True))
    assert str(plain(config, secrets=True)["backend_instances"]["p"]["extra_body"]).count(KEY) == 2


PLACES: dict[str, Any] = {
    "backend_instances.*.api_key": ("backend_instances", "p", "api_key"),
    "backend_instances.*.headers": ("backend_instances", "p", "headers", "x-extra"),
    "backend_instances.*.extra_body": ("backend_instances", "p", "extra_body", "deep", "auth_token"),
    "alert_webhook_url": ("alert_webhook_url",),
    "alerts.cost_webhook_url": ("alerts", "cost_webhook_url"),
    "alerts.webhook_secret": ("alerts", "webhook_secret"),
    "alerts.webhooks.*.url": ("alerts", "webhooks", "ops", "url"),
    "alerts.webhooks.*.secret": ("alerts", "webhooks", "ops", "secret"),
    "alerts.email.password": ("alerts", "email", "password"),
    "tracing.headers": ("tracing", "headers", "x-tenant"),
    "grafana.api_key": ("grafana", "api_key"),
    "shared.redis.password": ("shared", "redis", "password"),
    "keys.*.key": ("keys", "app", "key"),
    "admin_keys.*.key": ("admin_keys", "ann", "key"),
    "listen.admin_key": ("listen", "admin_key"),
    "shared.postgres.url": ("shared", "postgres", "url"),
    "migration.incumbent.api_key": ("migration", "incumbent", "api_key"),
    "migration.incumbent.headers": ("migration", "incumbent", "headers", "x-old"),
    "migration.incumbent.extra_body": ("migration", "incumbent", "extra_body", "deep", "password"),
}
"""Every field that may hold a secret, and where one stands in a file."""
BASE: dict[str, Any] = {
    "backend_instances": {"p": {"backend_type": "perplexity"}},
    "migration": {"incumbent": {"backend_type": "perplexity", "endpoint_url": "https://old.example.org"}},
    "alerts": {"webhooks": {"ops": {"url": "https://hooks.example.org/x"}}, "email": {"host": "mail.example.org"}},
    "shared": {"redis": {"url": "redis://redis.example.org:6379/0"}},
}
secrets_ = st.text("ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789", min_size=20, max_size=60).map(
    lambda text: f"sk-{text}"
)


FORMS = {"": "https://hooks.example.org/{}", "shared.postgres": "postgresql://equipoise:{}@db.example.org/equipoise"}
"""Addresses that hold a secret."""


def placed(values: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(BASE))
    for name, value in values.items():
        below, (*path, last) = data, PLACES[name]
        for part in path:
            below = below.setdefault(part, {})
        below[last] = FORMS.get(name.rpartition(".")[0], FORMS[""]).format(value) if "url" in name else value
    return data


def secrets_below(section: type[BaseModel], place: str = "") -> Iterator[str]:
    """Every field below a section that holds a Secret, by its place; `*` for names that an operator chooses."""
    for name, field in section.model_fields.items():
        for kind, below in kinds_in(field.annotation, place + name):
            if kind is Secret:
                yield below
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from secrets_below(kind, f"{below}.")


def kinds_in(annotation: Any, place: str) -> Iterator[tuple[Any, str]]:
    """The types an annotation is made of; what stands in a mapping of sections stands one name further down."""
    if get_origin(annotation) is dict and any(kind is not Secret for kind, _ in kinds_in(get_args(annotation)[1], "")):
        yield from kinds_in(get_args(annotation)[1], f"{place}.*")
    elif get_args(annotation):
        for part in get_args(annotation):
            yield from kinds_in(part, place)
    else:
        yield annotation, place


def test_the_table_of_secrets_is_whole() -> None:
    """A new field of this type is shown to nobody either, in whichever section: it gets a row."""
    found = set(secrets_below(Config))
    assert {"migration.incumbent.api_key", "alerts.email.password", "tracing.headers", "keys.*.key"} <= found
    assert found - set(PLACES) == set()


@settings(max_examples=25, deadline=None)
@given(st.lists(secrets_, min_size=len(PLACES), max_size=len(PLACES), unique=True))
def test_no_field_that_may_hold_a_secret_is_ever_shown(values: list[str]) -> None:
    """Whatever stands in all of them: no way of printing shows more than the last four signs."""
    loaded = load(placed(dict(zip(PLACES, values, strict=True))), environ={})
    of = loaded.config
    shown = [
        repr(loaded),
        repr(of),
        str(of),
        of.model_dump_json(),
        json.dumps(plain(of, everything=True)),
        str(loaded.tree),
    ]
    for value in values:
        assert [text for text in shown if value[3:12] in text or value[-8:] in text] == []


@settings(max_examples=25, deadline=None)
@given(secrets_, st.sampled_from(sorted(PLACES)), st.sampled_from(["list", "mapping", "unknown"]))
def test_no_secret_in_a_wrong_form_is_told(value: str, name: str, form: str) -> None:
    """Where a list or a mapping stands in its place, or its field is misspelt, the complaint does not repeat it."""
    wrong: Any = {"list": [value], "mapping": {"value": value}, "unknown": value}[form]
    data = placed({name: wrong})
    if form == "unknown":
        data = {**placed({name: value}), "api_keyz": value}
    assert value[3:12] not in complaint_of(data)


ADDRESSES = [
    ("backend_instances", "p", "endpoint_url"), ("migration", "incumbent", "endpoint_url"), ("tracing", "endpoint"),
    ("metrics", "pushgateway_url"), ("grafana", "api_url"), ("jwt", "jwks_url"),
]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    secrets_, st.sampled_from(ADDRESSES), st.sampled_from(["//u:{}@h/", "//{}@h/", "//h/?key={}", "//h/#{}", "//{}:x/"])
)
def test_no_secret_in_an_address_is_told(value: str, place: tuple[str, ...], form: str) -> None:
    """Where somebody puts it into the address of a sink, the complaint, or whatever is shown of it, does not repeat it."""
    data: dict[str, Any] = json.loads(json.dumps(BASE))
    data["jwt"] = {"issuer": "i", "audience": "a", "tenant_claim": "t", "jwks_url": "https://id.example.org"}
    below = data
    for part in place[:-1]:
        below = below.setdefault(part, {})
    below[place[-1]] = "https:" + form.format(value)
    complaint = complaint_of(data)
    assert complaint
    assert value[3:12] not in complaint


def complaint_of(data: dict[str, Any]) -> str:
    """What is said of it, in every form; nothing where it is right."""
    try:
        load(data, environ={})
    except ConfigurationError as error:
        return str(error) + repr(error) + str(error.problems)
    return ""


SAME = "the-very-same-key-in-two-places"
HASH = hashlib.sha256(SAME.encode()).hexdigest()


@pytest.mark.parametrize(
    ("where", "first"),
    [
        ({"keys": {"a": {"key": SAME, "tenant": "one"}, "b": {"key": "${OTHER}", "tenant": "two"}}}, "keys.a"),
        ({"keys": {"a": SAME, "b": {"sha256": HASH.upper()}}}, "keys.a"),
        ({"keys": {"a": SAME}, "admin_keys": {"b": SAME}}, "keys.a"),
        ({"admin_keys": {"a": {"sha256": HASH}}, "listen": {"admin_key": SAME}}, "admin_keys.a"),
        ({"keys": {"a": SAME}, "listen": {"admin_key": "${OTHER}"}}, "keys.a"),
    ],
)
def test_no_key_stands_in_two_places(where: dict[str, Any], first: str) -> None:
    """Which tenant or class it stood for would be chance, and a client's key would open the admin listener; nor is it shown."""
    with pytest.raises(ConfigurationError, match=f"is the same key as {first}") as refused:
        load({**BASE, **where}, environ={"OTHER": SAME})
    assert SAME not in str(refused.value)
    assert HASH not in str(refused.value)
