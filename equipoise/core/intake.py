"""How a question becomes a Request: named, resolved to a route, sized and bounded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import msgspec

from equipoise.core.model import Chance, Clock, NanoUSD, Question, Request, Strategy, Urgency
from equipoise.core.prefix import prefix_of
from equipoise.core.pricing import BYTES_PER_TOKEN
from equipoise.core.routing import Router

LONGEST_ID = 128
MOST_ANSWERS = 2**31
MOST_KNOWN = 4_096
"""Descriptions of questions that are remembered on routes that keep answers; some kilobytes each."""
EMBEDDING = frozenset({"embeddings"})
NOTHING = frozenset[str]()


class Hints(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a caller may say about how his question is to be answered.

    `max_cost` bounds each attempt's expected cost in nano-dollars, `deadline_seconds` the whole answer, `key` names
    the key it came with, `trace` holds trace headers to pass on; `urgency`
    says who goes first when there is not room for all. `data_classes` come to those of the route.
    """

    model: str = "auto"
    strategy: str | None = None
    max_cost: NanoUSD | None = None
    deadline_seconds: float | None = None
    tags: tuple[str, ...] = ()
    session: str | None = None
    tenant: str = "default"
    key: str = ""
    budgets: tuple[str, ...] = ()
    request_id: str | None = None
    trace: tuple[tuple[bytes, bytes], ...] = ()
    repeatable: bool | None = None
    urgency: Urgency = Urgency.INTERACTIVE
    data_classes: frozenset[str] = frozenset()


NO_HINTS = Hints()


class Intake:
    """Sizes questions, and describes them (`features` of a text and its kind) for strategies that learn. Ids are a random prefix and a counter: unique, ordered, and cheaper than a UUID."""

    def __init__(
        self,
        router: Router,
        classify: Callable[[str], str],
        *,
        clock: Clock,
        chance: Chance,
        features: Callable[[str, str], tuple[float, ...]] | None = None,
    ) -> None:
        self.router, self._classify, self._clock, self._features = router, classify, clock, features
        self._prefix = f"req-{chance.getrandbits(48):012x}-"
        self._count = 0
        strategies = {*router.strategies, *(route.strategy for route in router.routes.values())}
        self._learning = frozenset(filter(learns, strategies))
        self._known: dict[tuple[bytes, bool], tuple[str, tuple[float, ...]]] = {}

    def request(self, question: Question, hints: Hints = NO_HINTS) -> tuple[Request, str | None]:
        """The request and a warning about its model name, if any.

        Raises UnknownModel under `strict_models`, and ValueError for a strategy that does not exist.
        """
        resolved, strategy = self.router.resolve(hints.model), hints.strategy
        route = self.router.routes[resolved.route]
        if strategy is None:
            strategy = resolved.strategy
        elif strategy not in self.router.strategies:
            raise ValueError(f"unknown strategy {strategy[:80]!r}; known: {', '.join(self.router.strategies)}")
        characters, text, plain = _looked_through(question)
        learning, again = (strategy or route.strategy) in self._learning, route.cache is not None
        kind, features = (
            self._described(text, learning, again=again) if learning or again else (self._classify(text), ())
        )
        seconds = route.timeout
        if hints.deadline_seconds is not None and hints.deadline_seconds < seconds:
            seconds = hints.deadline_seconds
        # By position: to find two dozen names costs msgspec more than all the rest.
        request = Request(
            hints.request_id or self._next_id(),
            question,
            resolved.route,
            strategy,
            resolved.pinned,
            math.ceil(characters / BYTES_PER_TOKEN) if question.tokens is None else question.tokens,
            question.max_tokens or 0,
            answers_of(question) if "n" in question.options or "best_of" in question.extra else 1,
            NOTHING if plain else needs_of(question),
            route.min_quality,
            hints.max_cost,
            self._clock.monotonic() + seconds,
            hints.tenant,
            hints.session,
            hints.tags,
            kind,
            features,
            question.tools is None if hints.repeatable is None else hints.repeatable,
            hints.trace,
            hints.key,
            hints.budgets,
            hints.urgency,
            hints.data_classes | route.data_classes,
            prefix_of(question, route.prefix_characters) if route.prefix_characters else None,
        )
        return request, resolved.warning

    def _described(self, text: str, learning: bool, *, again: bool) -> tuple[str, tuple[float, ...]]:
        """Its kind, and its features where a strategy learns by them.

        On a route that keeps answers questions come again, and this is most of what one costs; it is remembered by a
        digest, so that no words are.
        """
        if not again:
            return self._told(text, learning)
        name = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), learning)
        found = self._known.get(name)
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[name] = self._told(text, learning)
        return found

    def _told(self, text: str, learning: bool) -> tuple[str, tuple[float, ...]]:
        kind = self._classify(text)
        return kind, self._features(text, kind) if self._features and learning else ()

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"


def _looked_through(question: Question) -> tuple[int, str, bool]:
    """The characters of all turns, the last words of the user, and whether it needs nothing but an answer in words."""
    characters, last = 0, ""
    plain = not (question.tools or question.response_format or question.embeddings)
    for message in question.messages:
        words = message.content
        if type(words) is not str:
            words, plain = message.text, False
        characters += len(words)
        if message.role == "user":
            last = words
    return characters, last, plain


def answers_of(question: Question) -> int:
    """How many answers are written and billed for it: `n`, or as many as the best is taken of. Never less than one."""
    wanted = (question.options.get("n"), question.extra.get("best_of"))
    if wanted == (None, None):
        return 1
    told = [value for value in wanted if isinstance(value, int | float) and not isinstance(value, bool)]
    return math.ceil(min(max(told, default=1), MOST_ANSWERS)) if any(value > 1 for value in told) else 1


def learns(strategy: str) -> bool:
    """Does this strategy go by features? Ours that learns does, and any of the user's own may."""
    return strategy == Strategy.ADAPTIVE_LEARNING or ":" in strategy


def needs_of(question: Question) -> frozenset[str]:
    """What a backend must be able to do for this question: tools, json, images; or embeddings."""
    if question.embeddings:
        return EMBEDDING
    needs = set()
    if question.tools:
        needs.add("tools")
    if question.response_format and question.response_format.get("type") != "text":
        needs.add("json")
    for message in question.messages:
        if type(message.content) is not str and _has_image(message.content):
            needs.add("images")
    return frozenset(needs) if needs else NOTHING


def _has_image(content: object) -> bool:
    return isinstance(content, list) and any("image" in str(part.get("type", "")) for part in content)
