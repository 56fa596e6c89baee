"""The rules that stand in for a large model in the sandbox of real software."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from equipoise.sandbox.real import rules

TEXT = (
    "Acylcarnitines carry fatty acids into the mitochondria. Octanoylcarnitine builds up when fatty acids cannot be "
    "broken down. Newborn screening measures octanoylcarnitine in a dried blood spot."
)
words = st.text(alphabet="abcXYZ -.\n,|<>#é1", max_size=200)


def rows(answer: str) -> list[list[str]]:
    return [line.split(rules.DELIMITER) for line in answer.splitlines()[:-1]]


@given(text=words | st.text(max_size=200))
def test_every_row_has_the_form_lightrag_reads(text: str) -> None:
    """Entities have four parts, relations five, the last line says that it was all; whatever the text."""
    answer = rules.extraction(text)
    assert answer.splitlines()[-1] == rules.COMPLETE
    assert all((row[0], len(row)) in {("entity", 4), ("relation", 5)} for row in rows(answer))


@given(text=words)
def test_relations_join_entities_of_the_same_answer(text: str) -> None:
    """LightRAG drops a relation to an entity it was not told of."""
    found = rows(rules.extraction(text))
    names = {row[1] for row in found if row[0] == "entity"}
    assert all({row[1], row[2]} <= names for row in found if row[0] == "relation")


def test_terms_that_share_a_sentence_are_related_by_it() -> None:
    """The description of an entity is its first sentence, that of a relation the common one."""
    found = rows(rules.extraction(TEXT))
    described = {row[1]: row[3] for row in found if row[0] == "entity"}
    assert described["Fatty Acids"] == "Acylcarnitines carry fatty acids into the mitochondria."
    related = {frozenset(row[1:3]): row[4] for row in found if row[0] == "relation"}
    assert related[frozenset({"Octanoylcarnitine Builds", "Fatty Acids"})].startswith("Octanoylcarnitine builds up")


def test_the_same_text_gives_the_same_graph() -> None:
    """No randomness, no dependence on the order of sets."""
    assert rules.extraction(TEXT) == rules.extraction(TEXT)
    assert rules.terms(TEXT, 3) == rules.terms(TEXT, 8)[:3]


def test_abbreviations_keep_their_letters() -> None:
    """LC-MS stays LC-MS while common words are capitalised."""
    assert rules.terms("plasma analysed by LC-MS", 5) == ["Plasma Analysed", "LC-MS"]


def test_keywords_are_the_json_object_lightrag_parses() -> None:
    """Both lists are there, also for a question without any content word."""
    assert json.loads(rules.keywords("What is it?")) == {"high_level_keywords": [], "low_level_keywords": []}
    assert "Newborn Screening" in json.loads(rules.keywords("Why newborn screening?"))["low_level_keywords"]


def test_a_quotation_is_the_sentence_nearest_to_the_question_with_its_reference() -> None:
    """Word for word from the passage that holds it; nothing is invented when there is no passage."""
    passages = [("1", "Lactate rises in sepsis."), ("2", TEXT)]
    said = rules.quotation("What does newborn screening measure?", passages)
    assert said == "Newborn screening measures octanoylcarnitine in a dried blood spot. [2]"
    assert rules.quotation("What?", []) == "The context says nothing about this."


def test_long_runs_of_words_are_cut_not_dropped() -> None:
    """Seven content words in a row are three runs."""
    assert [len(run) for run in rules.runs("falling blood lactate predicts good early survival")] == [3, 3, 1]
