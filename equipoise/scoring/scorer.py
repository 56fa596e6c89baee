"""Scores answers beside the requests: a share of them, one after the other, never in anybody's way."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from equipoise.core.events import AnswerScored
from equipoise.core.model import Answer, Chance, Request
from equipoise.scoring.calibration import Calibration
from equipoise.scoring.judge import ROLE, Judge
from equipoise.scoring.opinions import PROXY, RANK, WEIGHT, Opinion
from equipoise.scoring.remembered import Known, Recent
from equipoise.scoring.score import NOTHING_KNOWN, Score, Weights, score

REST = 19.0
"""Times as long as an answer took that is paused after it: scoring takes a twentieth of the event loop at most."""

LULL = 0.02
"""Seconds until the first of a queue is looked at: whoever got an answer may ask again at once, and comes first."""

SAVING_SECONDS = 60.0
JUDGING = 32
"""Answers that may wait for a judge."""

Closeness = Callable[[str, str], float]
Find = Callable[[str, str | None], Awaitable[Known | None]]


class Keeper(Protocol):
    """Keeps the labels between processes. Both block and raise OSError when nothing can be read or written."""

    def read(self) -> Mapping[str, Any] | None: ...

    def add(self, news: Mapping[str, Any]) -> Mapping[str, Any]: ...


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How much is scored, and what each dimension counts.

    `sampling` is the share of answers scored by rules, `judged` the share of those shown to the judge; roles in `always`
    are scored whatever the share. At most `queue` answers wait; `remember` of them can still be given an opinion without
    a look into the ledger.
    """

    sampling: float = 0.1
    judged: float = 0.05
    weights: Weights = Weights()
    always: frozenset[str] = frozenset({"shadow", "candidate", "trial"})
    queue: int = 256
    remember: int = 10_000


class Counts(msgspec.Struct):
    """What became of the answers since the start; `seconds` is the time scoring took in all."""

    scored: int = 0
    dropped: int = 0
    judge_dropped: int = 0
    seconds: float = 0.0
    longest: float = 0.0


class Waiting(msgspec.Struct, frozen=True):
    """An answer in the queue: its words are let go of once they are scored."""

    known: Known
    request: Request
    answer: Answer


class Scorer:
    """Takes answers, tells of their quality. `tell` is given each opinion that counts; it must not raise.

    Texts are held in the bounded queues only, and never written anywhere. `find` looks up an answer that is no longer
    remembered, `keeper` keeps the labels.
    """

    def __init__(
        self,
        options: Options,
        calibration: Calibration,
        *,
        chance: Chance,
        wall: Callable[[], float] = time.time,
        judge: Judge | None = None,
        closeness: Closeness | None = None,
        find: Find | None = None,
        keeper: Keeper | None = None,
        on_trouble: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.options, self.calibration, self.judge, self.counts = options, calibration, judge, Counts()
        self.tell: Callable[[AnswerScored], None] = _nobody
        self.recent = Recent(options.remember)
        self.find, self.keeper = find, keeper
        self._chance, self._wall, self._closeness, self._on_trouble = chance, wall, closeness, on_trouble
        self._queue: deque[Waiting] = deque()
        self._for_judge: deque[Waiting] = deque()
        self._due, self._judge_due = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def wants(self, request: Request) -> bool:
        """Whether this answer is among those to be scored; decided by chance, so ask once."""
        if request.role == ROLE:
            return False
        return request.role in self.options.always or self._chance.random() < self.options.sampling

    def offer(self, request: Request, answer: Answer, backend_id: str, attempt: int, *, wanted: bool) -> None:
        """An answer went out: remember it and, where it is wanted, queue it. Never waits; drops when the queue is full."""
        if request.role == ROLE:
            return
        known = _known(request, backend_id, attempt)
        self.recent.add(known)
        if not wanted or not answer.text:
            return
        if len(self._queue) >= self.options.queue:
            self.counts.dropped += 1
            return
        self._queue.append(Waiting(known, request, answer))
        self._due.set()

    def look(self, request: Request, answer: Answer, backend_id: str, attempt: int) -> float | None:
        """Score an answer at once, for those who must know before it goes out; None where nothing could be known."""
        known = _known(request, backend_id, attempt)
        self.recent.add(known)
        found = self._score(Waiting(known, request, answer))
        best = known.opinions.get(PROXY)
        return best.quality if best is not None and found.coverage > 0.0 else None

    def state_opinion(self, known: Known, given: Opinion) -> bool:
        """Take in an opinion of an answer and tell of it if it counts; False where a better one stands already."""
        before = _best(known)
        known.opinions = {**known.opinions, given.by: given}
        best = _best(known)
        self._calibrate(known, before, best)
        if best is not given:
            return False
        self.tell(self._event(known, given, before))
        return True

    async def known(self, request_id: str, tenant: str | None = None) -> Known | None:
        """The answer to a request of this tenant (None: of anybody, where nobody shows a key), from memory or from the
        ledger; None when nobody knows of one."""
        found = self.recent.get(request_id, tenant)
        if found is None and self.find is not None:
            found = await self.find(request_id, tenant)
        return found

    def inherit(self, previous: Scorer) -> None:
        """Go on with what another has learned and remembers; what waits in its queue it scores itself until closed."""
        self.calibration.take_over(previous.calibration)
        self.recent, self.find = previous.recent, previous.find
        self.keeper, self.counts = previous.keeper, previous.counts

    def status(self) -> dict[str, Any]:
        """Counts for people."""
        told = msgspec.structs.asdict(self.counts) | {"waiting": len(self._queue), "remembered": len(self.recent)}
        if self.judge is not None:
            told["judge"] = msgspec.structs.asdict(self.judge.counts) | {
                "backend": self.judge.backend_id,
                "spent_last_hour": self.judge.allowance.spent,
            }
        return told

    async def start(self) -> None:
        """Begin to score what is offered."""
        if self.keeper is not None:
            await self._exchange(None)
        work = [self._work(), self._save_now_and_then()] + ([self._judge_them()] if self.judge is not None else [])
        self._tasks = [asyncio.get_running_loop().create_task(each, name="scoring") for each in work]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop; what waits is let go, labels are kept."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        self._queue.clear()
        self._for_judge.clear()
        await self.save()

    async def save(self) -> None:
        """Keep the labels that are new."""
        if self.keeper is not None and self.calibration.has_news:
            await self._exchange(self.calibration.take_news())

    async def drained(self) -> None:
        """Return once nothing waits any more; for tests and benches."""
        while self._queue or self._for_judge:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)

    async def _work(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            await asyncio.sleep(LULL)
            while self._queue:
                began = time.perf_counter()
                self._score(self._queue.popleft())
                await asyncio.sleep(REST * (time.perf_counter() - began))

    async def _judge_them(self) -> None:
        while self.judge is not None:
            await self._judge_due.wait()
            self._judge_due.clear()
            while self._for_judge:
                waiting = self._for_judge[0]
                given = await self.judge.grade(waiting.request, waiting.answer)
                if given is not None:
                    self.state_opinion(waiting.known, given)
                self._for_judge.popleft()

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SAVING_SECONDS)
            await self.save()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Only a defect of ours ends a task before it is cancelled; then it must be heard of."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_trouble(f"answers are no longer scored: {type(error).__name__}")

    async def _exchange(self, news: Mapping[str, Any] | None) -> None:
        keeper = self.keeper
        if keeper is None:
            return
        try:
            kept = await asyncio.to_thread(keeper.read if news is None else lambda: keeper.add(news))
            self.calibration.adopt(kept)
        except (OSError, ValueError) as error:
            if news is not None:
                self.calibration.give_back(news)
            self._on_trouble(f"labels of answers cannot be kept: {error}")

    def _score(self, waiting: Waiting) -> Score:
        began = time.perf_counter()
        known = waiting.known
        found = score(waiting.request.question.text, waiting.answer, self.options.weights, self._closeness)
        spent = time.perf_counter() - began
        self.counts.scored += 1
        self.counts.seconds += spent
        self.counts.longest = max(self.counts.longest, spent)
        if found is not NOTHING_KNOWN:
            known.score = found.value
            estimate = self.calibration.estimate(known.backend_id, known.kind, found.value)
            self.state_opinion(known, Opinion(PROXY, estimate.quality, estimate.variance, found.known))
            self._show_to_judge(waiting)
        return found

    def _show_to_judge(self, waiting: Waiting) -> None:
        judge = self.judge
        if judge is None or self._chance.random() >= self.options.judged:
            return
        if not judge.takes(waiting.request, waiting.known.backend_id):
            return
        if len(self._for_judge) >= JUDGING:
            self.counts.judge_dropped += 1
            return
        self._for_judge.append(waiting)
        self._judge_due.set()

    def _calibrate(self, known: Known, before: Opinion | None, best: Opinion | None) -> None:
        """The opinion that counts is the label; the one it replaces is none any more."""
        if known.score is None or best is before:
            return
        for given, sign in ((before, -1.0), (best, 1.0)):
            if given is not None and given.by != PROXY:
                weight = sign * WEIGHT[given.by]
                self.calibration.label(known.backend_id, known.kind, known.score, given.quality, weight)

    def _event(self, known: Known, given: Opinion, before: Opinion | None) -> AnswerScored:
        return AnswerScored(
            request_id=known.request_id,
            attempt=known.attempt,
            backend_id=known.backend_id,
            route=known.route,
            tenant=known.tenant,
            kind=known.kind,
            role=known.role,
            quality=given.quality,
            variance=given.variance,
            source=given.source,
            dimensions=given.dimensions,
            wall=self._wall(),
            by=given.by,
            score=known.score,
            replaces=None if before is None else before.quality,
            replaced_variance=0.0 if before is None else before.variance,
        )


def _nobody(event: AnswerScored) -> None:
    """Until somebody listens."""


def _known(request: Request, backend_id: str, attempt: int) -> Known:
    return Known(request.id, attempt, backend_id, request.route, request.tenant, request.kind, request.role)


def _best(known: Known) -> Opinion | None:
    return max(known.opinions.values(), key=lambda given: RANK[given.by], default=None)
