"""Promises of round_robin."""

from random import Random

from equipoise.core.policies.round_robin import RoundRobin
from tests.core.policies.candidates import a_request, alike, candidate, choices, order


def test_everyone_has_a_turn_in_the_order_of_ids() -> None:
    """The cycle is strict, whatever order the candidates come in and however loaded they are."""
    shuffled = [candidate("c"), candidate("a", in_flight=9), candidate("b")]
    assert order(choices(RoundRobin(chance=Random(1)), shuffled, 7)) == "abcabca"


def test_nobody_is_skipped_when_another_leaves() -> None:
    """A backend that leaves does not cost the next one its turn."""
    policy = RoundRobin(chance=Random(1))
    assert order(choices(policy, alike(*"abcd"), 2)) == "ab"
    assert order(choices(policy, alike(*"acd"), 3)) == "cda"


def test_a_backend_that_returns_goes_first_but_only_once() -> None:
    """Absence is not saved up into a burst."""
    policy = RoundRobin(chance=Random(1))
    choices(policy, alike(*"abc"), 3)
    choices(policy, alike(*"ac"), 10)
    assert sorted(order(choices(policy, alike(*"abc"), 3))) == ["a", "b", "c"]


def test_a_new_backend_is_tried_at_once() -> None:
    """Who never had a turn goes before all others."""
    policy = RoundRobin(chance=Random(1))
    choices(policy, alike(*"abc"), 4)
    assert order(choices(policy, alike(*"abcz"), 4)) == "zbca"


def test_requests_with_different_choices_do_not_starve_anyone() -> None:
    """Alternating between {a, b} and {b, c} everybody is asked; a cursor over the ids would never reach c."""
    policy = RoundRobin(chance=Random(1))
    made = [policy.choose(alike(*(("a", "b") if i % 2 else ("b", "c"))), a_request()) for i in range(300)]
    assert min(order(made).count(name) for name in "abc") >= 70


def test_nobody_goes_twice_while_another_waits() -> None:
    """Between two turns of one that is always eligible nobody else has two, whoever comes and goes."""
    policy, chance = RoundRobin(chance=Random(1)), Random(5)
    made = ""
    for _ in range(500):
        others = [name for name in "bcdefg" if chance.random() < 0.5]
        made += policy.choose(alike("a", *others), a_request()).backend_id
    for between in made.split("a")[1:-1]:
        assert len(set(between)) == len(between)


def test_a_removed_backend_leaves_no_memory() -> None:
    """An id that is used again starts anew."""
    policy = RoundRobin(chance=Random(1))
    choices(policy, alike(*"ab"), 3)
    policy.forget("a")
    assert order(choices(policy, alike(*"ab"), 1)) == "a"
