"""One limit over several processes: whatever is asked of whom and whatever changes hands, the whole is kept."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.core.gcra import Rate
from equipoise.core.limit import MINUTE, RateLimit, TokenLimit
from equipoise.core.sharing import given as given_away
from equipoise.core.sharing import part_of

STEPS = st.lists(st.tuples(st.sampled_from(["ask", "move"]), st.integers(0, 2), st.floats(0.0, 20.0)), max_size=120)


@given(st.integers(0, 1000), st.integers(1, 16))
def test_equal_parts_add_up_to_the_whole(whole: int, count: int) -> None:
    """And no two differ by more than one."""
    parts = [part_of(whole, slot, count) for slot in range(count)]
    assert sum(parts) == whole
    assert max(parts) - min(parts) <= 1


@given(st.integers(-5, 100), st.integers(0, 100))
def test_nobody_gives_more_than_is_free_nor_less_than_is_needed_if_it_is_there(spare: int, need: int) -> None:
    """At least half of what is free."""
    units = given_away(spare, need)
    assert 0 <= units <= max(0, spare)
    assert units >= min(max(0, spare), need)


def move(limits: list[RateLimit] | list[TokenLimit] | list[Rate], slot: int, now: float) -> None:
    """One lacks something: each of the others gives what it can spare."""
    for other in limits:
        if other is not limits[slot]:
            units = given_away(other.spare(now), 1)
            other.resize(other.share - units, now)
            limits[slot].resize(limits[slot].share + units, now)


@settings(deadline=None)
@given(st.integers(1, 12), STEPS)
def test_requests_a_minute_are_never_more_than_the_whole(whole: int, steps: list[tuple[str, int, float]]) -> None:
    """In any 60 seconds, over three processes, whoever is asked; and one who gets all that is free serves all of it."""
    limits = [RateLimit(whole) for _ in range(3)]
    for slot, limit in enumerate(limits):
        limit.resize(part_of(whole, slot, 3), 0.0)
    now, taken = 0.0, list[float]()
    for what, slot, pause in steps:
        now += pause
        if what == "move":
            move(limits, slot, now)
        elif limits[slot].seconds_until_free(now) == 0.0:
            limits[slot].take(now)
            taken.append(now)
        assert sum(limit.share for limit in limits) == whole
        assert sum(at > now - MINUTE for at in taken) <= whole


@settings(deadline=None)
@given(st.integers(5, 40), st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5), st.floats(0.0, 9.0)), max_size=80))
def test_an_even_rate_is_never_more_than_the_whole(whole: int, steps: list[tuple[int, int, float]]) -> None:
    """Over any time t three processes let through no more than whole * (1 + t / 60) units, as one does."""
    rates = [Rate(whole) for _ in range(3)]
    for slot, rate in enumerate(rates):
        rate.resize(part_of(whole, slot, 3), 0.0)
    now, taken = 0.0, list[tuple[float, int]]()
    for slot, units, pause in steps:
        now += pause
        if rates[slot].take(units, now) > 0:
            move(rates, slot, now)
            if rates[slot].take(units, now) > 0:
                continue
        taken.append((now, units))
        for began, _ in taken:
            passed = sum(units for at, units in taken if began <= at)
            assert passed <= whole * (1 + (now - began) / MINUTE) + 1e-6


def test_who_gets_all_that_others_have_free_can_use_all_of_it() -> None:
    """Ten a minute over two: five here, and five that the other gives; the eleventh waits."""
    limits = [RateLimit(10), RateLimit(10)]
    for slot, limit in enumerate(limits):
        limit.resize(part_of(10, slot, 2), 0.0)
    served = 0
    for _ in range(20):
        if limits[0].seconds_until_free(1.0) > 0:
            move(limits, 0, 1.0)
        if limits[0].seconds_until_free(1.0) == 0:
            limits[0].take(1.0)
            served += 1
    assert served == 10
    assert [limit.share for limit in limits] == [10, 0]
    assert limits[1].seconds_until_free(1.0) > 0


def test_tokens_that_are_elsewhere_may_come_but_more_than_all_never() -> None:
    """A question for more than the share waits, one for more than the whole cannot be had."""
    it = TokenLimit(100)
    it.resize(40, 0.0)
    assert it.seconds_until_free(40, 0.0) == 0.0
    assert it.seconds_until_free(60, 0.0) == MINUTE
    assert it.seconds_until_free(101, 0.0) == float("inf")
    it.take(30, 0.0)
    assert it.spare(0.0) == 10


def test_what_a_process_that_died_held_is_used_up() -> None:
    """Whoever takes its place may have nothing of it for a minute."""
    for limit in (RateLimit(4), Rate(4)):
        limit.use_up(0.0)
        assert limit.spare(0.0) == 0
        assert limit.spare(MINUTE) == 4


def test_what_others_give_meanwhile_can_be_used_at_once() -> None:
    """Three are used up for a minute, the two that came may be had now; after the minute all five."""
    it = RateLimit(5)
    it.resize(3, 0.0)
    it.use_up(0.0)
    assert it.seconds_until_free(10.0) == 50.0
    it.resize(5, 10.0)
    for _ in range(2):
        assert it.seconds_until_free(10.0) == 0.0
        it.take(10.0)
    assert it.seconds_until_free(11.0) == 49.0
    for _ in range(3):
        assert it.seconds_until_free(60.0) == 0.0
        it.take(60.0)
    assert it.seconds_until_free(60.0) == 10.0
