"""Two backends with one seed answer alike; another seed differs in pace and ids, never in what is known."""

from __future__ import annotations

import random

import pytest

from equipoise.http import Request
from equipoise.sandbox.backend import DIALECTS
from equipoise.sandbox.knowledge import LIBRARIES, Knowledge, cited, shortened, tokens, words
from equipoise.sandbox.profile import FLEET, Pace, Profile, seeded
from equipoise.sandbox.script import Script, Turn

BODIES = {
    "lightrag": ("/query/stream", b'{"query":"What is clinical metabolomics?"}'),
    "perplexity": (
        "/v1/agent",
        b'{"input":"What is clinical metabolomics?","preset":"low","stream":true}',
    ),
    "openai": (
        "/v1/chat/completions",
        b'{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"What is metabolomics?"}]}',
    ),
}


def played(profile: Profile, seed: str) -> Script:
    """The script of one streamed question."""
    path, body = BODIES[profile.kind]
    headers = {b"authorization": b"Bearer sandbox", b"x-api-key": b"sandbox"}
    if profile.kind == "lightrag":
        del headers[b"authorization"]
    chance = random.Random(seed)
    knowledge = Knowledge(profile.library, profile.depth)
    turn = Turn(profile=profile, knowledge=knowledge, chance=chance, pace=Pace(profile, chance), now=1_800_000_000)
    request = Request(method="POST", path=path, query="", headers=headers, body=body)
    return DIALECTS[profile.kind].routes["POST", path].play(request, turn)


@pytest.mark.parametrize("profile", FLEET, ids=lambda profile: profile.name)
def test_a_seed_decides_everything(profile: Profile) -> None:
    """Bytes, pauses and cost."""
    assert played(profile, "7") == played(profile, "7")
    assert played(profile, "7").pause != played(profile, "8").pause
    assert played(profile, "7").cost == played(profile, "8").cost


def test_the_default_four_have_their_own_seeds() -> None:
    """So they do not slow down in step."""
    assert len({profile.seed for profile in seeded(3)}) == len(FLEET) == 4


def test_every_fact_is_found_by_each_of_its_cues() -> None:
    """No text of the corpus is out of reach."""
    knowledge = Knowledge("web", depth=100)
    for fact in LIBRARIES["web"]:
        for cue in fact.cues:
            assert fact in knowledge.find(f"Tell me: {cue}?")


def test_names_are_unique_and_hosts_are_nobodys() -> None:
    """A citation names one text, and no real site is put words into its mouth."""
    names = [fact.name for fact in LIBRARIES["web"]]
    assert len(set(names)) == len(names) >= 40
    assert all(fact.host.endswith(".example") for fact in LIBRARIES["web"])


def test_words_lose_nothing() -> None:
    """Joined pieces are the text, whatever its white space."""
    text = cited(LIBRARIES["metabolomics"][:3]) + " \n"
    assert "".join(words(text)) == "".join(words(text, 3)) == text


def test_a_shortened_text_keeps_its_limit() -> None:
    """And says why it ends."""
    assert shortened("word " * 40, 5) == (("word " * 40)[:20], "length")
    assert shortened("word", 5) == ("word", "stop")
    assert tokens("word " * 4) == 5
