"""Tokens of an identity provider: what is believed, what never is, and where keys are fetched."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.core.callers import Role
from equipoise.gateway.tokens import TokenOptions, Tokens
from equipoise.http import Request, Response, Server

ISSUER, AUDIENCE = "https://people.example.org/", "equipoise"
SECRETS: dict[str, Any] = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "ed": ed25519.Ed25519PrivateKey.generate(),
}
ALGORITHMS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}
STRANGE = rsa.generate_private_key(65537, 2048)
WEAK = rsa.generate_private_key(65537, 1024)


def public(name: str, key: Any, **more: Any) -> dict[str, Any]:
    for kind, algorithm in ((rsa.RSAPrivateKey, "RS256"), (ec.EllipticCurvePrivateKey, "ES256")):
        if isinstance(key, kind):
            found = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
            return {**found, "kid": name, **more}
    return {**jwt.get_algorithm_by_name("EdDSA").to_jwk(key.public_key(), as_dict=True), "kid": name, **more}


class Provider:
    """An identity provider whose keys can be changed, and which counts who asks for what."""

    def __init__(self) -> None:
        self.keys: list[Any] = [public(name, key) for name, key in SECRETS.items()]
        self.asked: list[str] = []
        self.answer: Callable[[], Response] | None = None

    async def handle(self, request: Request) -> Response:
        self.asked.append(request.path)
        if self.answer is not None:
            return self.answer()
        return Response(200, ((b"content-type", b"application/json"),), json.dumps({"keys": self.keys}).encode())


@pytest.fixture
async def provider() -> AsyncIterator[tuple[Provider, str]]:
    found = Provider()
    server = Server(found.handle)
    await server.start("127.0.0.1", 0)
    yield found, f"http://127.0.0.1:{server.port}/keys"
    await server.drain(0)


def options(url: str, **more: Any) -> TokenOptions:
    given_ = {"tenant_claim": "org", "role_claim": "groups", "roles": {"ops": Role.OPERATE, "root": Role.ADMIN}}
    return TokenOptions(issuer=ISSUER, audience=AUDIENCE, jwks_url=url, **{**given_, **more})


@pytest.fixture
async def tokens(provider: tuple[Provider, str]) -> AsyncIterator[Tokens]:
    found = Tokens(options(provider[1]))
    await found.start()
    yield found
    await found.close()


def claims(**more: Any) -> dict[str, Any]:
    said = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": time.time() + 60,
        "sub": "ann",
        "org": "clinic",
        "groups": ["x", "ops"],
    }
    return {name: value for name, value in {**said, **more}.items() if value is not None}


def signed(name: str = "rsa", key: Any = None, algorithm: str | None = None, head: Any = None, **more: Any) -> bytes:
    header = {key: value for key, value in {"kid": name, **(head or {})}.items() if value is not None}
    made = jwt.encode(claims(**more), key or SECRETS[name], algorithm or ALGORITHMS[name], headers=header)
    return made.encode()


def shown(token: bytes) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + token}


def b64(data: Any) -> bytes:
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=")


@pytest.mark.parametrize("name", SECRETS)
async def test_a_good_token_names_tenant_subject_and_role(tokens: Tokens, name: str) -> None:
    """Whichever of the three signatures; the subject is never taken for a key of that name."""
    client, person = tokens.client(shown(signed(name))), tokens.person(shown(signed(name)))
    assert client is not None
    assert (client.tenant, client.key, client.role) == ("clinic", "jwt:ann", None)
    assert person is not None
    assert (person.key, person.role) == ("jwt:ann", Role.OPERATE)


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://people.example.org"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"exp": time.time() - 3600},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": time.time() + 3600},
        {"org": None},
        {"org": "two words"},
        {"org": "a\nb"},
        {"org": "x" * 200},
        {"org": ["clinic"]},
        {"sub": None},
        {"sub": "ann\x1b[31m"},
    ],
)
async def test_a_claim_that_is_wrong_makes_a_stranger(tokens: Tokens, changed: dict[str, Any]) -> None:
    """Issuer, audience, times, and names that ledger and labels could not have."""
    assert tokens.client(shown(signed(**changed))) is None


async def test_clocks_may_differ_a_little(tokens: Tokens) -> None:
    """Thirty seconds either way."""
    assert tokens.client(shown(signed(exp=time.time() - 10, nbf=time.time() + 10))) is not None


def unsigned(algorithm: str) -> bytes:
    return b".".join([b64({"alg": algorithm, "kid": "rsa", "typ": "JWT"}), b64(claims()), b""])


def confused() -> bytes:
    """HS256 under the public key's own text, the oldest trick."""
    pem = (
        SECRETS["rsa"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    text = b64({"alg": "HS256", "kid": "rsa"}) + b"." + b64(claims())
    return text + b"." + b64(hmac.new(pem, text, hashlib.sha256).digest())


@pytest.mark.parametrize(
    "token",
    [
        unsigned("none"),
        unsigned("None"),
        unsigned("RS256"),
        confused(),
        signed(key=STRANGE),
        signed("rsa", SECRETS["ec"], "ES256"),
        signed("ec", SECRETS["rsa"], "RS256"),
        signed(algorithm="RS512"),
        signed(algorithm="PS256"),
        signed(head={"kid": "nobody"}),
        signed(head={"kid": None}),
        signed(head={"crit": ["exp"]}),
        signed(key=STRANGE, head={"jwk": public("rsa", STRANGE)}),
        b64(b"[" * 3_000) + b"." + b64(b"[" * 2_000) + b".eA",
        b"..",
        b"a.b.c",
        b"\xff.\xff.\xff",
        signed(filler="x" * 9_000),
    ],
)
async def test_a_token_that_is_not_signed_as_it_must_be_makes_a_stranger(tokens: Tokens, token: bytes) -> None:
    """The key decides the algorithm, never the token; nothing is believed before the signature."""
    assert tokens.client(shown(token)) is None
    assert tokens.person(shown(token)) is None


async def test_nothing_in_a_token_leads_anywhere(provider: tuple[Provider, str], tokens: Tokens) -> None:
    """jku and x5u are not looked at."""
    elsewhere = provider[1].replace("/keys", "/evil")
    assert tokens.client(shown(signed(key=STRANGE, head={"jku": elsewhere, "x5u": elsewhere}))) is None
    assert set(provider[0].asked) == {"/keys"}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(place=st.integers(0, 10_000), change=st.integers(1, 255), name=st.sampled_from(sorted(SECRETS)))
async def test_a_token_with_one_sign_changed_is_none(place: int, change: int, name: str) -> None:
    """Any byte of head, claims or signature."""
    found = Tokens(options("http://127.0.0.1:9/keys"))
    found._keys = {key: jwt.PyJWK(public(key, secret)) for key, secret in SECRETS.items()}
    found._fetched = time.monotonic()
    token = bytearray(signed(name))
    at = place % len(token)
    before = token[at]
    token[at] ^= change
    told = found.client(shown(bytes(token)))
    await found.close()
    last_bits = at == len(token) - 1 or chr(before) == chr(token[at])
    assert told is None or last_bits, "only the padding bits of the last sign mean nothing"


async def test_the_highest_of_several_roles_counts_and_other_words_mean_nothing(tokens: Tokens) -> None:
    """A word, a list, or what is no role."""
    for groups, role in (("root", Role.ADMIN), (["ops", "root"], Role.ADMIN), (["admin"], None), ({"root": 1}, None)):
        found = tokens.person(shown(signed(groups=groups)))
        assert (found.role if found else None) == role


async def test_a_new_key_is_fetched_once_it_is_met(
    provider: tuple[Provider, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that is taken back is no good after the next fetch; a flood of unknown names asks once in a while."""
    monkeypatch.setattr("equipoise.gateway.tokens.FETCH_APART", 0.05)
    found = Tokens(options(provider[1]))
    await found.start()
    provider[0].keys = [public("new", STRANGE)]
    deadline = time.monotonic() + 5
    while found.client(shown(signed("new", STRANGE, "RS256"))) is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert found.client(shown(signed())) is None
    asked = len(provider[0].asked)
    for number in range(200):
        found.client(shown(signed(head={"kid": f"unknown-{number}"})))
    await asyncio.sleep(0.12)
    assert len(provider[0].asked) - asked <= 4
    await found.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Response(302, ((b"location", b"http://169.254.169.254/latest"),)),
        lambda: Response(200, (), b"{"),
        lambda: Response(200, (), b"[" * 100_000),
        lambda: Response(200, (), json.dumps({"keys": []}).encode()),
        lambda: Response(200, (), json.dumps({"keys": [public("weak", WEAK)]}).encode()),
        lambda: Response(200, (), json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa"}]}).encode()),
        lambda: Response(200, (), json.dumps({"keys": [public("rsa", STRANGE, use="enc")]}).encode()),
        lambda: Response(200, (), b"x" * 300_000),
        lambda: Response(500, ()),
    ],
)
async def test_what_is_no_set_of_keys_changes_nothing(
    provider: tuple[Provider, str], tokens: Tokens, answer: Callable[[], Response]
) -> None:
    """Redirects are not followed, sizes are bounded, weak and shared keys are not taken; the trouble is told once."""
    troubles: list[str] = []
    provider[0].answer, tokens._on_trouble = answer, troubles.append
    await tokens.refresh()
    await tokens.refresh()
    assert len(troubles) == 1
    assert tokens.client(shown(signed())) is not None


async def test_keys_that_could_not_be_fetched_for_a_day_are_good_no_longer(provider: tuple[Provider, str]) -> None:
    """A provider that is gone cannot take a key back."""
    now = [0.0]
    found = Tokens(options(provider[1]), clock=lambda: now[0])
    await found.refresh()
    assert found.client(shown(signed())) is not None
    now[0] = 86_401.0
    assert found.client(shown(signed())) is None
    await found.close()


async def test_a_set_is_bounded(provider: tuple[Provider, str]) -> None:
    """Only so many keys are taken."""
    provider[0].keys = [public(f"k{number}", SECRETS["ec"]) for number in range(100)]
    found = Tokens(options(provider[1], max_keys=8))
    await found.refresh()
    assert len(found._keys) == 8
    await found.close()
