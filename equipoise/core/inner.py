"""What a graph asks of a model behind our back, when it asks through us: which question each of its calls is for.

A LightRAG server tells nobody what its language model and its embeddings used. Where both are routed through this
gateway each of its calls is a question of its own here, on a route that belongs to that server alone, with its own
record and cost. On the wire nothing names the question that caused it, so it is joined by what can be known:

  words   the call holds the question's own text: prompts of both the keyword and the answer call do, and the first
          text of an embedding call usually is the question. Exact, unless the same question is asked twice at once.
  time    only one question is at that server. True unless documents are being indexed at the same time; so this is
          believed of embeddings only, whose texts need not hold the question, never of a language model's call.
  shared  several questions are there and the text is none of theirs: each is charged an equal part.

What fits none (indexing, another client of the server) stays a record without a parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from equipoise.core.load import Average
from equipoise.core.model import NanoUSD, Outcome, Request, Usage

WORDS, TIME, SHARED = "words", "time", "shared"
WEAKEST_LAST = ("", WORDS, TIME, SHARED)
SHORTEST = 8
"""Characters below which a question's text may stand in another's prompt by accident."""


class Parent(msgspec.Struct, frozen=True):
    """The question a call is for, whom it is counted for, and how that is known."""

    request_id: str
    tenant: str
    tags: tuple[str, ...]
    key: str
    how: str


class Inner(msgspec.Struct):
    """What the calls for one question came to so far."""

    cost: NanoUSD = 0
    calls: int = 0
    how: str = ""
    usage: Usage = Usage(requests=0)

    @property
    def exact(self) -> bool:
        """Are its tokens reported ones, and surely this question's?"""
        return self.calls > 0 and self.how in (WORDS, TIME) and not self.usage.estimated

    def add(self, cost: NanoUSD, usage: Usage, how: str, calls: int = 1) -> None:
        """Take in one call, or a part of one."""
        self.cost += cost
        self.calls += calls
        self.how = max(self.how, how, key=WEAKEST_LAST.index)
        self.usage = msgspec.structs.replace(
            self.usage,
            input_tokens=self.usage.input_tokens + usage.input_tokens,
            output_tokens=self.usage.output_tokens + usage.output_tokens,
            cached_tokens=self.usage.cached_tokens + usage.cached_tokens,
            reasoning_tokens=self.usage.reasoning_tokens + usage.reasoning_tokens,
            estimated=self.usage.estimated or usage.estimated,
            requests=1,
        )


class InnerCalls:
    """The questions at one graph, and the calls it makes for them. Look-ups and sums only.

    `seen` says that at least one call ever came this way: until then nobody knows whether the server really asks
    through us, and its cost must not be taken for nothing. `usual` is what a question's calls cost on average.
    """

    def __init__(self) -> None:
        self.seen = False
        self.usual = Average(0.0)
        self._asked: dict[str, tuple[Request, Inner]] = {}

    def began(self, request: Request) -> None:
        """A question goes to the graph."""
        self._asked[request.id] = (request, Inner())

    def parent_of(self, call: Request) -> Parent | None:
        """The question a call is for; None when that cannot be known, or is shared by several."""
        if not self._asked:
            return None
        text = call.question.whole_text
        named = [asked for asked, _ in self._asked.values() if _names(asked, text)]
        if len(named) == 1 and not self._others_are_mute(named[0]):
            return _parent(named[0], WORDS)
        if call.question.embeddings and len(self._asked) == 1:
            return _parent(next(iter(self._asked.values()))[0], TIME)
        return None

    def paid(self, call: Request, outcome: Outcome) -> None:
        """A call was settled: add it to its question, or to all that it may be for."""
        self.seen = True
        if call.parent in self._asked:
            self._asked[call.parent][1].add(outcome.cost, outcome.usage, call.joined)
        elif call.parent is None and self._may_be_shared(call):
            self._share(outcome)

    def so_far(self, request_id: str) -> Inner:
        """What a question's calls came to."""
        return self._asked[request_id][1] if request_id in self._asked else Inner()

    def ended(self, request_id: str) -> None:
        """The graph has answered, or failed."""
        _, inner = self._asked.pop(request_id, (None, Inner()))
        if inner.calls:
            self.usual.add(float(inner.cost))

    def _others_are_mute(self, named: Request) -> bool:
        """Whether another question is there that is too short to be named: with the words of this one beside it, say as
        its history, it could have its own calls charged to this one's tenant."""
        return any(len(_words(asked)) < SHORTEST for asked, _ in self._asked.values() if asked is not named)

    def _may_be_shared(self, call: Request) -> bool:
        if not self._asked:
            return False
        text = call.question.whole_text
        return call.question.embeddings or any(_names(asked, text) for asked, _ in self._asked.values())

    def _share(self, outcome: Outcome) -> None:
        """Equal parts in whole nano-dollars; the first ones carry what is left over, so that the parts sum to the whole."""
        number = len(self._asked)
        for place, (_, inner) in enumerate(self._asked.values()):
            part = outcome.cost // number + (place < outcome.cost % number)
            inner.add(part, Usage(requests=0), SHARED)


class Graph(Protocol):
    """A backend, as far as its own questions are concerned."""

    inner: InnerCalls | None


class Graphs:
    """Whose questions come by which route; `known` says whether there are any."""

    def __init__(self, by_route: Mapping[str, Graph]) -> None:
        self._by_route, self.known = by_route, bool(by_route)

    def owns(self, route: str) -> bool:
        """Is this route one that a graph asks by?"""
        return route in self._by_route

    def joined(self, request: Request) -> Request:
        """The request as it is counted: one that a graph asks for a question belongs to whoever asked that."""
        graph = self._by_route.get(request.route)
        parent = graph.inner.parent_of(request) if graph is not None and graph.inner is not None else None
        if parent is None:
            return request
        return msgspec.structs.replace(
            request, parent=parent.request_id, joined=parent.how, tenant=parent.tenant, tags=parent.tags
        )

    def settled(self, request: Request, outcome: Outcome, backend: Graph) -> None:
        """Add what a graph's question cost to the question it was for; a graph's answer ends the adding."""
        graph = self._by_route.get(request.route)
        if graph is not None and graph.inner is not None:
            graph.inner.paid(request, outcome)
        if backend.inner is not None:
            backend.inner.ended(request.id)


def _words(asked: Request) -> str:
    return asked.question.text.strip()


def _names(asked: Request, text: str) -> bool:
    words = _words(asked)
    return len(words) >= SHORTEST and words in text


def _parent(asked: Request, how: str) -> Parent:
    return Parent(asked.id, asked.tenant, asked.tags, asked.key, how)
