"""What the classifier sees in a question."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from equipoise.core.features import (
    _WORD,
    DEFAULT_VOCABULARY,
    EMBEDDED,
    KINDS,
    LEANING,
    MOST,
    TOLD_APART,
    USUAL,
    WINDOW,
    Describer,
    Vocabulary,
    classify,
    embedding_in,
    hand_features,
    leanings,
    topics,
    window,
    words_of,
)
from equipoise.core.vocabulary import DEFAULT_TERMS

TERMS = sorted({term for own in DEFAULT_TERMS.values() for term in own})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("What is clinical metabolomics?", "metabolomics"),
        ("Which lipids are elevated in serum?", "metabolomics"),
        ("Latest biomarkers for diabetes", "current_research"),
        ("What was announced at the congress last week?", "current_research"),
        ("FDA approvals in 2026", "current_research"),
        ("How do I normalize LC-MS data step by step?", "methodology"),
        ("Sample preparation protocol for urine", "methodology"),
        ("Give me an overview of the literature on statins", "review"),
        ("Compare LC-MS versus NMR", "review"),
        ("Who wrote Hamlet?", "general"),
        ("", "general"),
        ("🧪" * 50, "general"),
    ],
)
def test_kinds_of_question(text: str, kind: str) -> None:
    """Typical questions are told apart; what says nothing is general."""
    assert classify(text) == kind


def test_case_does_not_matter_and_words_are_whole() -> None:
    """SERUM is serum; a 'reviewer' is no review, a 'newsletter' no news."""
    assert classify("LIPIDS IN SERUM") == "metabolomics"
    assert classify("the reviewer's newsletter") == "general"


def test_recency_leans_to_the_web_and_relations_to_the_graph() -> None:
    """By their words a little, before any answer; and never for who is neither."""
    size = len(USUAL) + 1
    assert list(leanings("perplexity", size).values()) == list(leanings("lightrag", size).values()) == [LEANING * 0.25]
    assert leanings("perplexity", size).keys() == {1 + list(USUAL).index("recency")}
    assert leanings("lightrag", size).keys() == {1 + list(USUAL).index("graph")}
    assert leanings("local_llm", size) == {}


def test_a_question_is_described_by_a_vector_of_one_form() -> None:
    """Numbers by name, an embedding or its average, and the kind; nothing is far out."""
    plain, seen = Describer(), Describer(embed=lambda text: (1.0,) * EMBEDDED)
    for text in ("", "Latest metabolomics news?", "x" * 100_000, "= " * 3000, "🧪"):
        kind = plain.kind(text)
        vector = plain.features(text, kind)
        assert len(vector) == len(plain.names) == len(seen.features(text, kind))
        assert max(map(abs, vector)) <= MOST
    assert plain.features("What is new in 2026?", "current_research")[plain.names.index("kind_current_research")] == 2.0


def test_an_operators_own_kind_is_found_by_its_words() -> None:
    """Beside ours, as a feature and a name."""
    of = Describer(Vocabulary({**DEFAULT_TERMS, "law": ["tort", "statut*"]}), kinds=(*TOLD_APART, "law"))
    assert of.kind("Is this a tort under the statutes?") == "law"
    assert of.names[-1] == "kind_law"
    assert of.kind("What is clinical metabolomics?") == "metabolomics"


def test_an_operator_of_another_domain_brings_other_words() -> None:
    """The vocabulary is data; words, beginnings and phrases all count."""
    law = Vocabulary({"metabolomics": ["tort", "statut*", "common law"], "current_research": ["this term"]})
    assert classify("Is there a statutory duty in tort?", law) == "metabolomics"
    assert classify("What says the common law?", law) == "metabolomics"
    assert classify("What did the court decide this term?", law) == "current_research"
    assert classify("Lipids in serum", law) == "general"


def test_a_beginning_of_a_word_that_is_too_short_is_refused() -> None:
    """Three letters begin too many words."""
    with pytest.raises(ValueError, match="met"):
        Vocabulary({"metabolomics": ["met*"]})


def test_of_a_long_prompt_the_beginning_and_the_end_are_read() -> None:
    """The work is bounded, and a question before or after pasted documents is still found."""
    filler = "lorem ipsum " * 7000
    assert len(window(filler)) <= 2 * WINDOW + 1
    assert classify(f"Latest news? {filler}") == "current_research"
    assert classify(f"{filler} Latest news?") == "current_research"
    assert classify(f"{filler} latest news {filler}") == "general"


def test_features_tell_shapes_apart() -> None:
    """Code, choices, digits and the form of a question show in their numbers."""
    assert hand_features("def f(x):\n    return x == 1")["code"] == 1.0
    assert hand_features("Pick: A) red B) blue C) green D) none")["choices"] == 1.0
    assert hand_features("12345 67890")["digits"] > 0.8
    assert hand_features("Does it help?")["yes_no"] == 1.0
    assert hand_features("Why does it help?")["reason"] == 1.0
    assert hand_features("Who wrote it?")["fact"] == 1.0


@given(st.text(max_size=300))
def test_any_text_has_a_kind_and_the_same_thirteen_numbers(text: str) -> None:
    """Never an error, always a known kind, all numbers in range, the same each time."""
    assert classify(text) in KINDS
    features = hand_features(text)
    assert len(features) == 13
    assert all(0.0 <= value <= 1.5 for value in features.values())
    assert features == hand_features(text)


PLAIN = st.text(alphabet=st.characters(max_codepoint=127), max_size=300)
FOREIGN = st.text(max_size=9) | st.sampled_from(
    ["naïve", "„GENAU“", "ΟΔΟΣ", "İ", "—", "\u00a0", "\u3000", "\ud800", "x\u0307", "²", "_", "\x01"]
)


@given(PLAIN | st.text(max_size=300) | st.builds(lambda a, b, c: a + b + c, PLAIN, FOREIGN, PLAIN))
@example("a" * 90 + " „Über—naïve“ Café\u3000ΟΔΟΣ İx ²_-y\ud800z \x01b")
def test_the_quick_ways_to_split_a_text_find_the_same_words(text: str) -> None:
    """Translating signs away and splitting gives what searching for words gives, with and without letters beyond ASCII."""
    if text.isascii():
        text = "".join(sign if sign.isprintable() else " " for sign in text)
    assert words_of(text) == frozenset(_WORD.findall(text.lower()))


@given(st.lists(st.sampled_from([*TERMS, "other", "2026", "İ", "the"]), max_size=12))
def test_each_term_counts_once_for_its_topic(terms: list[str]) -> None:
    """Words and phrases, in any case, order and number; a beginning once for each different word that it begins."""
    text = ". ".join(term.replace("*", "ed").title() for term in terms)
    words = set(text.lower().replace(".", " ").split())

    def times(term: str) -> int:
        if term.endswith("*"):
            return sum(word.startswith(term[:-1]) for word in words)
        return term in words if " " not in term else term in text.lower()

    expected = {topic: sum(map(times, own)) for topic, own in DEFAULT_TERMS.items()}
    expected["current_research"] += "2026" in words
    assert topics(text) == expected
    found = DEFAULT_VOCABULARY.found(text, words_of(text))
    assert found == {topic: count for topic, count in expected.items() if count}


def test_what_was_recorded_gives_the_features_it_was_made_from() -> None:
    """Hand-made numbers and embedding by name, to four digits; of a record that lacks some, none."""
    describer = Describer(embed=lambda text: tuple(0.1 * i for i in range(EMBEDDED)))
    text = "Which metabolites rise in type 2 diabetes, and why?"
    kind = describer.kind(text)
    made = describer.features(text, kind)
    recorded = hand_features(text) | embedding_in(made)
    assert Describer().recalled(recorded, kind) == pytest.approx(made, abs=1e-4)
    assert Describer().recalled({"length": 0.3}, kind) == ()
    assert embedding_in(Describer().features(text, kind)) == {}
