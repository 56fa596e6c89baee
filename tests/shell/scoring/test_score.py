"""The rules find fault where there is fault, and length and vocabulary buy nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from equipoise.config.load import load
from equipoise.core.model import Answer, Citation
from equipoise.scoring import words
from equipoise.scoring.score import Score, Weights, score

FRANCE = "What is the capital of France?"
STUFFED = "however metabolite pathway furthermore biomarker clinical analysis therefore significant research study "
PASSAGE = (
    "In 120 adults with type 2 diabetes, plasma leucine rose by 23% within a year, while glycine fell. "
    "Leucine and isoleucine are branched-chain amino acids."
)
ASKED = "Which amino acids rise in the plasma of adults with type 2 diabetes?"
TRUE = "Plasma leucine rose by 23% in adults with type 2 diabetes, while glycine fell."


def scored(question: str, text: str, **fields: Any) -> Score:
    return score(question, Answer(text=text, **fields))


def source(index: int, text: str = PASSAGE, **fields: Any) -> Citation:
    fields.setdefault("file", f"paper-{index}.txt")
    return Citation(index=index, title="", snippet=text, **fields)


def test_a_correct_word_beats_stuffed_nonsense() -> None:
    """The earlier system gave .22 to "Paris." and .54 to text stuffed with the right vocabulary."""
    direct = scored(FRANCE, "Paris.").value
    for nonsense in (STUFFED * 4, STUFFED, STUFFED.replace(" ", ", "), STUFFED * 2 + "[1] [2] [3]"):
        assert scored(FRANCE, nonsense).value < 0.45 < 0.9 <= direct


def test_stuffing_in_the_words_of_the_sources_is_no_support() -> None:
    """What is no text has no quality, however well its words are covered."""
    heap = " ".join(sorted(words.words(PASSAGE)) * 3)
    assert scored(ASKED, heap, contexts=[PASSAGE]).value < 0.5 < scored(ASKED, TRUE, contexts=[PASSAGE]).value


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, I can't help with that.",
        "I do not have enough information.",
        "The context says nothing about this.",
        "The provided documents do not mention this topic.",
        "These search results don't address the question.",
        "",
        "   ",
    ],
)
def test_a_refusal_and_nothing_are_worth_nearly_nothing(text: str) -> None:
    """However politely."""
    assert scored(ASKED, text, contexts=[PASSAGE]).value < 0.1


def test_the_question_again_is_no_answer_to_a_question_of_fact() -> None:
    """Yes and no may repeat it."""
    assert scored(FRANCE, "The capital of France.").value < 0.3
    assert scored("Is aspirin an NSAID?", "Aspirin is an NSAID.").value > 0.9


def test_off_topic_is_seen_where_the_answer_is_long_enough_to_tell() -> None:
    """A few words need not repeat their question."""
    bananas = "Bananas are picked while they are green, because they ripen on the way to the shops and are sold yellow."
    assert scored(ASKED, bananas).dimensions["relevance"].value < 0.3
    assert scored(FRANCE, "Paris.").dimensions["relevance"].coverage < 1.0


def test_sources_that_know_nothing_of_who_is_asked_about_are_about_something_else() -> None:
    """A retriever brings something for any question; what the question names is in none of it."""
    asked = "How many beds are free in the hospital of Averton?"
    quoted = "In the hospital, 120 adults with diabetes were given free beds for a night [1]."
    passage = "In the hospital, 120 adults with diabetes were given free beds for a night."
    elsewhere = scored(asked, quoted, contexts=[passage])
    there = scored(asked, quoted, contexts=[f"Averton: {passage}"])
    assert elsewhere.dimensions["relevance"].value < 0.3 < 0.6 < there.dimensions["relevance"].value


def test_support_is_unknown_without_sources_and_not_zero() -> None:
    """The composite is over what is known."""
    alone = scored(ASKED, TRUE)
    assert "support" not in alone.dimensions
    assert alone.coverage < scored(ASKED, TRUE, contexts=[PASSAGE]).coverage
    assert alone.value > 0.9


def test_support_falls_with_a_wrong_number_and_a_wrong_name() -> None:
    """One swapped fact among right words is seen."""
    right = scored(ASKED, TRUE, contexts=[PASSAGE]).dimensions["support"].value
    number = scored(ASKED, TRUE.replace("23%", "41%"), contexts=[PASSAGE]).dimensions["support"].value
    assert right == 1.0 > number
    paris, lyon = (scored(FRANCE, text, contexts=["Paris is the capital of France."]) for text in ("Paris.", "Lyon."))
    assert paris.dimensions["support"].value == 1.0 > 0.5 >= lyon.dimensions["support"].value


def test_completeness_is_of_parts_and_never_of_length() -> None:
    """Both halves of a question; more words about one half do not help."""
    both = "What raises plasma leucine, and how is glycine excreted?"
    half = "Plasma leucine is raised by insulin resistance, which slows its breakdown in muscle."
    whole = half + " Glycine is excreted by the kidney."
    longer = half + " Insulin resistance slows that breakdown in muscle, so plasma leucine stays raised all day."
    values = [scored(both, text).dimensions["completeness"].value for text in (half, whole, longer)]
    assert values == [0.5, 1.0, 0.5]


def test_an_answer_cut_short_is_not_complete() -> None:
    """By its finish reason."""
    assert scored(ASKED, TRUE, finish_reason="length").dimensions["completeness"].value == pytest.approx(0.3)


def test_tool_calls_are_not_scored() -> None:
    """There are no words to look at."""
    assert scored(ASKED, "", tool_calls=[{"id": "1"}]).coverage == 0.0


class TestCitations:
    """ALCE's precision and recall, with words for support."""

    def value(self, text: str, *citations: Citation) -> float:
        return scored(ASKED, text, citations=list(citations)).dimensions["citations"].value

    def test_each_sentence_with_its_source(self) -> None:
        """Precision and recall of one."""
        assert self.value("Plasma leucine rose by 23% [1]. Glycine fell within a year. [1]", source(1)) == 1.0

    def test_a_mark_without_a_source_is_wrong(self) -> None:
        """Out of range."""
        assert self.value("Plasma leucine rose by 23% [7].", source(1)) == 0.0

    def test_a_source_that_says_something_else_is_wrong(self) -> None:
        """Beside a good one, recall stays and precision falls."""
        other = source(2, "Whales migrate along the coast every spring.")
        assert self.value("Plasma leucine rose by 23% [2].", source(1), other) == 0.0
        assert self.value("Plasma leucine rose by 23% [1][2].", source(1), other) == pytest.approx(2 / 3)

    def test_sentences_without_marks_lower_recall(self) -> None:
        """Half of two."""
        assert self.value("Plasma leucine rose by 23% [1]. Glycine fell.", source(1)) == pytest.approx(2 / 3)

    def test_an_address_that_is_none_supports_nothing(self) -> None:
        """The text is right, but nobody can look."""
        bad = source(1, file=None, url="javascript:alert(1)")
        assert self.value("Plasma leucine rose by 23% [1].", bad) == 0.0

    def test_without_texts_only_the_form_is_known(self) -> None:
        """Range and address."""
        links = [Citation(index=1, url="https://example.org/a")]
        found = scored(ASKED, "Leucine rose [1], isoleucine too [2].", citations=links).dimensions["citations"]
        assert (found.value, found.coverage) == (0.5, 0.5)

    def test_an_engine_that_has_no_sources_is_not_asked_for_them(self) -> None:
        """Unknown."""
        assert "citations" not in scored(ASKED, TRUE).dimensions

    def test_the_list_at_the_end_cites_nothing(self) -> None:
        """LightRAG ends with one."""
        listed = "Plasma leucine rose by 23%.\n\n### References\n- [1] paper-1.txt"
        assert self.value(listed, source(1)) <= 0.5


def test_weights_are_ratios_over_what_is_known() -> None:
    """Ten times all is the same; a weight of nothing leaves its dimension out."""
    answer = Answer(text=TRUE.replace("23%", "41%"), contexts=[PASSAGE])
    plain = score(ASKED, answer)
    tenfold = score(ASKED, answer, Weights(relevance=4, support=3, completeness=2, citations=1))
    assert tenfold.value == pytest.approx(plain.value)
    assert score(ASKED, answer, Weights(support=0.0)).value > plain.value


def test_closeness_helps_who_says_the_same_in_other_words() -> None:
    """It never lowers relevance."""
    text = (
        "Branched-chain compounds such as valine go up in sick people, as many cohorts found over the last ten years."
    )
    without = score("Which blood markers increase with hyperglycaemia?", Answer(text=text))
    helped = score("Which blood markers increase with hyperglycaemia?", Answer(text=text), closeness=lambda a, b: 0.9)
    assert helped.dimensions["relevance"].value > without.dimensions["relevance"].value


@given(
    st.text(max_size=300),
    st.text(max_size=600),
    st.lists(st.text(max_size=200), max_size=3),
    st.sampled_from(["stop", "length"]),
)
def test_any_text_gets_a_score_in_range(question: str, text: str, contexts: list[str], end: str) -> None:
    """Whatever the bytes: nothing raises, every number lies in [0, 1]."""
    citations = [Citation(index=n, snippet=context, file="f") for n, context in enumerate(contexts, 1)]
    found = score(question, Answer(text=text, contexts=contexts, citations=citations, finish_reason=end))
    assert 0.0 <= found.value <= 1.0
    assert 0.0 <= found.coverage <= 1.0
    assert all(0.0 <= of.value <= 1.0 and 0.0 < of.coverage <= 1.0 for of in found.dimensions.values())


@given(st.text(alphabet="ab1 .[]-,;–^", max_size=80))
def test_marks_are_small_numbers_and_ranges_are_bounded(text: str) -> None:
    """A range of a thousand sources is cut."""
    assert all(0 <= mark < 1000 for mark in words.marks(text))
    assert len(words.marks("[1-999]")) == 10
    assert words.marks("a [1, 3] b [5–6][^9]") == [1, 3, 5, 6, 9]


def test_numbers_and_names_as_people_write_them() -> None:
    """One writing for one number; beginnings of sentences are no names."""
    assert words.numbers("1,200.50 and 1200.5, -3% and x2") == {"1200.5", "-3"}
    assert words.names("The TMAO in Paris rose. Most CO2 came: We saw it.") == {"tmao", "paris", "co2"}


def test_the_page_on_quality_says_what_is_so() -> None:
    """Its code runs, its configurations load."""
    page = (Path(__file__).parents[3] / "docs" / "quality.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "quality.md", "exec"), {})
    configurations = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    whole = YAML(typ="safe").load("\n".join(configurations[:1])) | YAML(typ="safe").load(configurations[1])
    found = load(whole, environ={"OPENAI_API_KEY": "k"}).config
    assert found.routes["clinic"].escalate
    assert found.quality.judge is not None
