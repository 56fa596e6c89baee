"""The rules policies share: who is good enough, who is lowest, how a vector of probabilities is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from equipoise.core.model import Candidate, Chance, NanoUSD, Request, dollars

RAREST_SUCCESS = 0.05
"""Below one success in twenty an expected time says no more than 'avoid': it grows at most twentyfold."""


def per_success(seconds: float, candidate: Candidate) -> float:
    """Return the seconds to an answer if failures are asked again: seconds / success rate.

    Without the division an empty queue makes a backend that fails fast look fast, and it would draw all traffic.
    """
    rate = candidate.success_rate
    return seconds / (rate if rate > RAREST_SUCCESS else RAREST_SUCCESS)


def seconds_of(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return the expected seconds to a whole answer of each, `per_success` of its completion."""
    rarest, seconds = RAREST_SUCCESS, {}
    for c in candidates:  # for a few of them a comprehension's own frame costs as much as its work
        rate = c.success_rate
        seconds[c.backend_id] = c.completion / (rate if rate > rarest else rarest)
    return seconds


def by_load(candidate: Candidate) -> tuple[int, str]:
    """Order ties: fewer in flight first, then by id, so that replays agree."""
    return candidate.in_flight, candidate.backend_id


def lowest(candidates: Sequence[Candidate], scores: Mapping[str, float]) -> Candidate:
    """Return the candidate with the lowest score; ties, and scores that are no numbers, are settled by load, then id."""
    least, found = min(scores.values()), None
    for c in candidates:
        if scores[c.backend_id] == least and (found is None or by_load(c) < by_load(found)):
            found = c
    return found or min(candidates, key=by_load)


def good_enough(candidates: Sequence[Candidate], request: Request) -> Sequence[Candidate]:
    """Return those whose quality is surely (one standard deviation) at the request's floor; possibly none."""
    floor = request.min_quality
    return [c for c in candidates if c.quality_low >= floor] if floor > 0.0 else candidates


def with_room(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Return those below their concurrency limit; possibly none.

    Who compares anything but load must ask this, or everybody herds on the best until it is no use to anybody.
    """
    return [c for c in candidates if c.in_flight < c.limit]


def excess_of(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return how far each is beyond its limit, in the seconds per token it will cost everyone there, `per_success`."""
    rarest, excess = RAREST_SUCCESS, {}
    for c in candidates:
        rate = c.success_rate
        waiting = c.in_flight - c.limit + 1.0
        excess[c.backend_id] = waiting * c.seconds_per_token / (rate if rate > rarest else rarest)
    return excess


def least_overloaded(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate with the least excess: the choice when nobody has room."""
    return lowest(candidates, excess_of(candidates))


def best_below_the_floor(candidates: Sequence[Candidate]) -> Candidate:
    """Return the most surely good candidate: the answer when nobody reaches the floor."""
    return lowest(candidates, {c.backend_id: -c.quality_low for c in candidates})


def draw(probabilities: Mapping[str, float], chance: Chance) -> str:
    """Name one id with exactly its probability; the vector sums to one, up to rounding."""
    left = chance.random()
    drawn = ""
    for backend_id, probability in probabilities.items():
        if probability > 0.0:
            drawn = backend_id
            left -= probability
            if left < 0.0:
                break
    return drawn


def money(amount: NanoUSD) -> str:
    """Write nano-dollars for people, exact and without trailing zeros: 400_000 is '$0.0004'."""
    return "$" + dollars(amount).rstrip("0").rstrip(".")
