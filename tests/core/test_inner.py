"""What a graph asks through us is joined to the question it was for, and every nano-dollar of it is somebody's."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.inner import SHARED, TIME, WORDS, InnerCalls
from equipoise.core.model import CostSource, Message, Outcome, Question, Request, Usage, Verdict

LACTATE, POOL = "What does falling lactate predict?", "How is a pooled sample made?"


def question(name: str, text: str, **more: Any) -> Request:
    return Request(id=name, question=Question(messages=[Message("user", text)]), tenant=f"of {name}", **more)


def call(name: str, text: str, *, embeddings: bool = False) -> Request:
    return Request(id=name, question=Question(messages=[Message("user", text)], embeddings=embeddings), tenant="graph")


def paid(cost: int, tokens: int = 10) -> Outcome:
    return Outcome(
        verdict=Verdict.SUCCESS,
        duration=1.0,
        usage=Usage(input_tokens=tokens),
        cost=cost,
        cost_source=CostSource.PRICED,
    )


def pay(inner: InnerCalls, made: Request, cost: int) -> None:
    """As the selection does: join, then settle."""
    parent = inner.parent_of(made)
    values = {name: getattr(made, name) for name in made.__struct_fields__}
    joined = {"parent": parent.request_id, "joined": parent.how} if parent else {}
    inner.paid(Request(**values | joined), paid(cost))


def test_a_prompt_that_holds_the_question_is_its_own() -> None:
    """However many are asked at once; its parent's tenant pays, and its tokens are the question's."""
    inner = InnerCalls()
    inner.began(question("a", LACTATE))
    inner.began(question("b", POOL))
    made = call("c", f"---Goal---\nextract keywords\nUser Query: {POOL}\nOutput:")
    parent = inner.parent_of(made)
    assert parent is not None
    assert (parent.request_id, parent.tenant, parent.how) == ("b", "of b", WORDS)
    pay(inner, made, 7)
    assert (inner.so_far("b").cost, inner.so_far("b").how, inner.so_far("a").cost) == (7, WORDS, 0)
    assert inner.so_far("b").exact
    assert inner.so_far("b").usage.input_tokens == 10


def test_keywords_embedded_while_one_question_is_there_are_believed_to_be_its_own() -> None:
    """A language model's call without its words is not: that is indexing."""
    inner = InnerCalls()
    inner.began(question("a", LACTATE))
    pay(inner, call("e", "sepsis, lactate", embeddings=True), 3)
    pay(inner, call("x", "extract the entities of this document"), 100)
    assert (inner.so_far("a").cost, inner.so_far("a").how, inner.so_far("a").calls) == (3, TIME, 1)


@given(st.integers(1, 20), st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_what_is_shared_is_shared_to_the_last_nano_dollar(number: int, costs: list[int]) -> None:
    """Equal parts in whole numbers whose sum is the whole, and nobody's part is more than one above another's."""
    inner = InnerCalls()
    for each in range(number):
        inner.began(question(f"q{each}", f"question number {each:04}"))
    for place, cost in enumerate(costs):
        pay(inner, call(f"e{place}", "keywords", embeddings=True), cost)
    parts = [inner.so_far(f"q{each}") for each in range(number)]
    assert sum(part.cost for part in parts) == sum(costs)
    assert max(part.cost for part in parts) - min(part.cost for part in parts) <= len(costs)
    assert {part.how for part in parts} == {SHARED if number > 1 else TIME}


def test_the_same_question_asked_twice_at_once_is_shared() -> None:
    """Nothing on the wire tells the two apart."""
    inner = InnerCalls()
    inner.began(question("a", LACTATE))
    inner.began(question("b", LACTATE))
    pay(inner, call("c", f"Query: {LACTATE}"), 9)
    assert (inner.so_far("a").cost, inner.so_far("b").cost, inner.so_far("a").how) == (5, 4, SHARED)
    assert not inner.so_far("a").exact


def test_what_comes_when_nobody_asks_is_nobodys() -> None:
    """Indexing has no parent; a question that is over gets nothing more; the first call shows that calls come at all."""
    inner = InnerCalls()
    assert not inner.seen
    pay(inner, call("c", "a document", embeddings=True), 5)
    assert inner.seen
    inner.began(question("a", LACTATE))
    inner.ended("a")
    late = call("d", f"Query: {LACTATE}")
    assert inner.parent_of(late) is None
    pay(inner, late, 5)
    assert inner.so_far("a").cost == 0
    inner.ended("a")


def test_a_short_question_is_not_recognised_by_its_words() -> None:
    """`and?` stands in any prompt."""
    inner = InnerCalls()
    inner.began(question("a", "and?"))
    inner.began(question("b", LACTATE))
    assert inner.parent_of(call("c", "this and? that")) is None


def test_the_usual_cost_of_a_question_is_learned() -> None:
    """Once it was measured a graph is ranked by it, not by a guess."""
    inner = InnerCalls()
    for number in range(30):
        inner.began(question(f"q{number}", LACTATE))
        pay(inner, call(f"c{number}", f"Query: {LACTATE}"), 1_000)
        inner.ended(f"q{number}")
    assert 900 < inner.usual.value <= 1_000


def test_a_question_too_short_to_be_named_charges_nothing_to_one_whose_words_it_holds() -> None:
    """Somebody else's question as the history of a short one of one's own: shared, never all the other's."""
    inner = InnerCalls()
    inner.began(question("a", LACTATE))
    inner.began(question("b", "Why?"))
    made = call("c", f"History: {LACTATE}\nUser Query: Why?")
    assert inner.parent_of(made) is None
    pay(inner, made, 7)
    assert (inner.so_far("a").cost, inner.so_far("b").cost, inner.so_far("a").how) == (4, 3, SHARED)
