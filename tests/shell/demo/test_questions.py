"""The demo's questions are many, different, and the same in every run."""

from __future__ import annotations

from equipoise.core.model import Strategy
from equipoise.sandbox.demo.questions import STRATEGIES, questions
from equipoise.sandbox.knowledge import Knowledge


def test_a_hundred_and_twenty_questions_are_all_different() -> None:
    """Varied, as far as the pool of texts goes."""
    assert len({question.text for question in questions(120, 1)}) == 120


def test_a_seed_decides_them() -> None:
    """The same seed asks the same, another one something else first."""
    assert questions(120, 1) == questions(120, 1)
    assert questions(120, 1)[0].text != questions(120, 2)[0].text


def test_a_third_is_streamed_and_every_strategy_is_asked_for() -> None:
    """Hints name strategies that exist, each at least once."""
    asked = questions(120, 1)
    assert sum(question.stream for question in asked) == 40
    assert {question.strategy for question in asked} == {None, *STRATEGIES}
    assert {str(strategy) for strategy in Strategy} >= set(STRATEGIES)


def test_the_web_knows_all_and_the_graph_only_its_own() -> None:
    """So that quality differs: some questions find nothing in a graph."""
    graph, web = Knowledge("metabolomics", 3), Knowledge("web", 3)
    texts = [question.text for question in questions(120, 1)]
    assert all(web.find(text) for text in texts)
    assert 60 <= sum(bool(graph.find(text)) for text in texts) <= 100


def test_a_body_is_a_chat_completion_that_ends_with_the_question() -> None:
    """Conversations come before it; streams ask for usage."""
    tenth = questions(30, 1)[29].body()
    assert [m["role"] for m in tenth["messages"]] == ["system", "user", "assistant", "user"]
    assert (tenth["stream"], tenth["stream_options"]) == (True, {"include_usage": True})
    assert "stream" not in questions(1, 1)[0].body()
