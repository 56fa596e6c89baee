"""Two questions that sound alike: what tells them apart, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.wording import MOST_CHARACTERS, difference, read_wording

SYNONYMS = [
    {"quickest", "fastest"},
    {"shop", "store"},
    {"lock", "unlock"},
    {"hypertension", "hypotension"},
    {"buy", "sell"},
]


def alike(one: str, other: str) -> float:
    """Vectors as they are: what means nearly the same, and its opposite, both near."""
    return 1.0 if one == other else 0.8 if {one, other} in SYNONYMS else 0.1


def told(one: str, other: str) -> str | None:
    mine, yours = read_wording(one), read_wording(other)
    assert mine is not None
    assert yours is not None
    found, turned = difference(mine, yours, alike, 0.5), difference(yours, mine, alike, 0.5)
    assert (found is None) == (turned is None)
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how can I reset my password"),
        ("What's the fastest way to learn typing?", "What is the quickest way to learn typing?"),
        ("Where is the nearest shop?", "Hi, where's the nearest store please?"),
        ("Do you do two-year fixes?", "Do you do 2 year fixes?"),
        ("Is 1,500 mg too much?", "is 1500 mg too much"),
        ("What vegan options do you have on the menu?", "On the menu, what vegan options do you have?"),
        ("Which symptoms has flu?", "What are the symptoms flu has?"),
    ],
)
def test_the_same_in_other_words(one: str, other: str):
    """Small words, courtesies, spelling, plurals, near synonyms and a part said first change nothing."""
    assert told(one, other) is None


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("Can I return it after 14 days?", "Can I return it after 40 days?", "number"),
        ("What is 3.5 times 2?", "What is 35 times 2?", "number"),
        ("How do I claim on plan two?", "How do I claim on plan three?", "number"),
        ("The sum of the fourth power", "The sum of the fifth power", "number"),
        ("Which expenses can I claim?", "Which expenses can't I claim?", "negation"),
        ("Water with sugar", "Water without sugar", "negation"),
        ("Is the flat open to Australia?", "Is the flat open to Austria?", "name"),
        ("What is the drinking age in the UK?", "What is the drinking age in the US?", "name"),
        ("Who is the king?", "Who was the king?", "tense"),
        ("What is a + b?", "What is a * b?", "sign"),
        ("How do I lock my card?", "How do I unlock my card?", "word"),
        ("Is hypertension dangerous?", "Is hypotension dangerous?", "word"),
        ("How do I buy shares?", "How do I sell shares?", "word"),
        ("What are the symptoms of flu?", "What are the symptoms of flu in babies?", "word"),
        ("Move money from savings to current account", "Move money from current account to savings", "order"),
        ("How do I convert a Word document to PDF?", "How do I convert a PDF to a Word document?", "order"),
        ("London flight to Paris", "Paris flight to London", "order"),
        ("What is my limit?", "What is your limit?", "person"),
        ("水は何度で沸騰しますか", "水は何度で凍りますか", "name"),
    ],
)
def test_near_misses_are_told_apart(one: str, other: str, why: str):
    """One number, negation, name, tense, sign, opposite, narrower scope, turned direction or other person is enough."""
    assert told(one, other) == why


def test_what_is_long_or_empty_is_only_itself():
    """Documents and bare courtesies are not compared."""
    assert read_wording("word " * MOST_CHARACTERS) is None
    assert read_wording("please, thank you!") is None
    assert read_wording("") is None


@given(st.text(max_size=200))
def test_whatever_is_said_says_the_same_as_itself(text: str):
    """No text is read in a way that differs from itself, and none breaks the reading."""
    wording = read_wording(text)
    assert wording is None or difference(wording, wording, alike, 0.5) is None


@given(st.text(alphabet="abcdefg ", min_size=3, max_size=60), st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_other_number_is_ever_the_same(words: str, one: int, other: int):
    """Whatever stands around it, another number is another question."""
    first, second = read_wording(f"{words} {one} zebras"), read_wording(f"{words} {other} zebras")
    assert first is not None
    assert second is not None
    assert (difference(first, second, lambda a, b: 1.0, 0.0) is None) == (one == other)
