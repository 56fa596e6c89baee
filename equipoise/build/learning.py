"""What learns: features of questions, what was learned before, where it is kept, and the specification's weights."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from equipoise.balancer import LoadBalancer
from equipoise.build.labels import labels_in
from equipoise.build.shared import learned_over_hosts
from equipoise.build.store import state_in
from equipoise.config import Config
from equipoise.core.allowance import Allowance
from equipoise.core.events import Event
from equipoise.core.features import KINDS, TOLD_APART, Describer, Vocabulary
from equipoise.core.intake import learns
from equipoise.core.model import NANO_PER_USD, Question, Request
from equipoise.core.policies.adaptive_learning import Seen
from equipoise.core.selection import Selection
from equipoise.core.vocabulary import DEFAULT_TERMS
from equipoise.core.weights import LearnedWeights
from equipoise.stores import learned
from equipoise.stores.database import Database
from equipoise.stores.names import HeldName
from equipoise.stores.sqlite import StoreError
from equipoise.trials import Trials

if TYPE_CHECKING:
    from equipoise.stores.redis_learned import FleetLearned
    from equipoise.stores.redis_link import RedisLink

MINUTE, HOUR = 60.0, 3600.0
USUAL_TOKENS = 300
PARALLEL = 2
logger = logging.getLogger("equipoise.learning")


def describer_of(config: Config, selection: Selection) -> Describer:
    """How questions are seen. The embedding is read only where something learns from it."""
    terms = {
        kind: (*DEFAULT_TERMS.get(kind, ()), *config.kinds.get(kind, ())) for kind in {*DEFAULT_TERMS, *config.kinds}
    }
    wanted = config.learning.embedding == "auto" and any(learns(route.strategy) for route in selection.routes.values())
    return Describer(Vocabulary(terms), kinds_told_apart(config), _embedding() if wanted else None)


def kinds_told_apart(config: Config) -> tuple[str, ...]:
    """The kinds of question there are here, without the general one."""
    return (*TOLD_APART, *(kind for kind in config.kinds if kind not in (*KINDS, "graph")))


def _embedding() -> Callable[[str], tuple[float, ...]] | None:
    try:
        from equipoise.semantic import EmbeddingMissing, load_embedding

        return load_embedding()
    except EmbeddingMissing as missing:
        logger.info("questions are seen by hand-made features only: %s", missing)
        return None


def with_learning(
    config: Config, balancer: LoadBalancer, describer: Describer, link: RedisLink | None = None
) -> Learning:
    """Give a balancer what it learns with. Opens what was learned before; contacts nobody."""
    learning = Learning(config, lambda: balancer.selection, describer)
    learning.fleet = learned_over_hosts(config, link)
    learning.begin()
    balancer.learning = learning
    balancer.background.append(learning)
    if any(route.explore == "shadow" for route in balancer.selection.routes.values()):
        balancer.trials = trials_of(config, balancer)
        balancer.background.append(balancer.trials)
        learning.copies = balancer.trials.status
    return learning


def trials_of(config: Config, balancer: LoadBalancer) -> Trials:
    """Copies for routes on which live questions are not for exploring."""
    of, clock = config.learning, balancer.selection.clock
    return Trials(
        balancer.answer,
        lambda: balancer.selection.routes,
        clock.monotonic,
        share=of.shadow_share,
        allowance=Allowance(round(of.shadow_usd_per_hour * NANO_PER_USD), PARALLEL, clock),
        chance=random.Random(config.seed),  # noqa: S311 - a sample, and none of the balancer's draws
        parallel=PARALLEL,
    )


class Learning:
    """Keeps what is learned: saves it while the balancer runs, and once more at the end.

    Each process writes under a name of its own and reads what others wrote, so that none overwrites another. Trouble is
    logged and told in `status`; it never stops a question.
    """

    def __init__(self, config: Config, selection: Callable[[], Selection], describer: Describer) -> None:
        self._config, self._selection, self.describer = config, selection, describer
        self.weights = LearnedWeights(config.learning_rate, config.performance_history_window_hours * HOUR)
        self.trouble: str | None = None
        self.copies: Callable[[], dict[str, Any]] | None = None
        self._database = state_in(config) if config.ledger_path else None
        self._held: HeldName | None = None
        self._unread = False
        self._tasks: list[asyncio.Task[None]] = []
        self.fleet: FleetLearned | None = None
        """What processes on other hosts have learned."""

    def begin(self) -> None:
        """Take up what was learned before, else the labels there are. Opens the state; contacts nobody."""
        self._expect()
        if self._database is not None:
            self._hold(self._database.folder)
        kept = self._read(self._database) if self._database is not None and self._database.exists() else {}
        fresh = self._take_up(kept)
        if fresh and self._config.learning.labels is not None:
            self._teach(fresh, Path(self._config.learning.labels))

    def _take_up(self, kept: Mapping[str, Any]) -> list[Any]:
        """Go on with what was kept; gives the policies of which nothing was."""
        if "weights" in kept:
            self._attempt(lambda: self.weights.restore(kept["weights"]))
        return [policy for key, policy in self._selection().learners().items() if not self._restore(policy, key, kept)]

    async def start(self) -> None:
        """Begin to save and to adjust the weights."""
        loop = asyncio.get_running_loop()
        of = self._config
        self._tasks = [
            loop.create_task(
                self._every(of.weight_adjustment_frequency_minutes * MINUTE, self._adjust), name="weights"
            ),
            loop.create_task(self._saving(of.learning.save_seconds), name="learning"),
        ]

    async def close(self) -> None:
        """Stop, and save what was learned."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._save()
        if self._held is not None:
            self._held.release()

    @property
    def instance(self) -> str:
        """The name this process saves under: the configured one, with a number behind where others go by it.

        Where hosts share the state it has the host's and the state directory's mark.
        """
        name = self._config.learning.instance if self._held is None else self._held.name.removeprefix("learning-")
        return name if self._config.shared.postgres is None else f"{name}@{_mark(self._config.state_path)}"

    def _hold(self, folder: Path) -> None:
        try:
            self._held = HeldName(folder, f"learning-{self._config.learning.instance}")
        except OSError as error:
            self._trouble(f"nobody knows whether another process learns under the same name: {error}")

    def status(self) -> dict[str, Any]:
        """What is believed, whether it decides, and the learned weights, for people and scrapers."""
        routes: dict[str, Any] = {}
        for (route, strategy), policy in self._selection().learners().items():
            told: dict[str, Any] = policy.status() if hasattr(policy, "status") else {}
            learner = getattr(policy, "learner", None)
            beliefs = learner.by_kind(0) if learner is not None else {}
            routes[f"{route}/{strategy}"] = {
                **told,
                "explore": self._selection().routes[route].explore,
                "believed": {kind: _rows(rows) for kind, rows in beliefs.items()},
            }
        return {
            "features": {"embedding": self.describer.embeds, "kinds": [*self.describer.kinds, "general"]},
            "instance": self.instance,
            "trouble": self.trouble,
            "policies": routes,
            "copies": self.copies() if self.copies is not None else None,
            "learned_weights": self.weights.rows(),
        }

    def _adjust(self) -> None:
        self.weights.adjust(self._selection().clock.wall())

    async def _every(self, seconds: float, action: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            action()

    async def _saving(self, seconds: float) -> None:
        if self.fleet is not None:  # one that comes later begins with what the others know
            await self._save()
        while True:
            await asyncio.sleep(seconds)
            await self._save()

    async def _save(self) -> None:
        if self._database is None:
            return
        if self._unread:  # never write over what could not be read
            self._take_up(await asyncio.to_thread(self._read, self._database))
        if self._unread:
            return
        states = {_name(key): policy.state() for key, policy in self._selection().learners().items()}
        states["weights"] = self.weights.state()
        try:
            others = await asyncio.to_thread(learned.exchange, self._database, self.instance, states)
        except StoreError as error:
            self._trouble(f"what was learned cannot be kept: {error}")
            return
        if self.fleet is not None:
            others = await asyncio.to_thread(self.fleet.exchange, self.instance, states, others)
        for key, policy in self._selection().learners().items():
            theirs = [state[_name(key)] for state in others if _name(key) in state]
            if theirs and hasattr(policy, "take_in"):
                self._attempt(partial(policy.take_in, theirs))

    def _read(self, database: Database) -> dict[str, Any]:
        try:
            kept, self._unread = learned.read(database, self.instance), False
            return kept
        except StoreError as error:
            self._unread = True
            self._trouble(f"what was learned cannot be read: {error}")
            return {}

    def _restore(self, policy: Any, key: tuple[str, str], kept: Mapping[str, Any]) -> bool:
        state = kept.get(_name(key))
        return state is not None and hasattr(policy, "restore") and self._attempt(lambda: policy.restore(state))

    def _teach(self, policies: list[Any], path: Path) -> None:
        """Begin with scored answers from a file."""
        try:
            labels = list(labels_in(path))
        except (OSError, ValueError) as error:
            self._trouble(f"{path}: labels cannot be read: {error}")
            return
        backends, seen = self._selection().backends, list[Seen]()
        for label in labels:
            kind = self.describer.kind(label.question)
            seen.append(Seen(label.backend, kind, self.describer.features(label.question, kind), label.quality))
        usual = Request(id="", question=Question(messages=[]), input_tokens=USUAL_TOKENS)
        now = self._selection().clock.monotonic()
        candidates = {name: backend.candidate(usual, now) for name, backend in backends.items()}
        for policy in policies:
            if hasattr(policy, "labelled"):
                policy.labelled([of for of in seen if of.backend_id in backends], candidates)
        logger.info("began with %d labels from %s", len(labels), path)

    def _expect(self) -> None:
        """Have policies go by the features of these questions."""
        for policy in self._selection().learners().values():
            if hasattr(policy, "expect") and policy.expect(len(self.describer.names)):
                self._trouble("what was learned before is dropped: other kinds of question make other features")

    def inherit(self, previous: Learning) -> None:
        """Go on where another left off, whose balancer now goes by this configuration."""
        self._expect()
        self._database, former, self.fleet = previous._database, previous.weights, previous.fleet
        if self._held is not None:
            self._held.release()
        self._held, previous._held = previous._held, None
        former.rate, former.window = self.weights.rate, self.weights.window
        self.weights = former

    def observe(self, event: Event) -> None:
        """Take in an event for the learned weights; policies hear of theirs through the selection."""
        self.weights.observe(event)

    def _attempt(self, action: Callable[[], Any]) -> bool:
        """Do what may not fit what was saved; then nothing is changed, and it is told."""
        try:
            action()
        except (ValueError, msgspec.ValidationError) as error:
            self._trouble(f"what was learned before does not fit and is left: {error}")
            return False
        return True

    def _trouble(self, what: str) -> None:
        self.trouble = what
        logger.warning(what)


def _rows(rows: Mapping[str, tuple[float, float, int]]) -> dict[str, dict[str, float]]:
    """Means with their 95 % interval, and how many scored answers of all kinds they rest on."""
    return {
        name: {
            "mean": round(_within(mean), 4),
            "low": round(_within(mean - 1.96 * sd), 4),
            "high": round(_within(mean + 1.96 * sd), 4),
            "answers": count,
        }
        for name, (mean, sd, count) in rows.items()
    }


def _within(quality: float) -> float:
    """A line goes on beyond what a quality can be."""
    return min(1.0, max(0.0, quality))


def _mark(folder: Path) -> str:
    """Six bytes that tell this folder of this host from any other."""
    return hashlib.blake2b(f"{socket.gethostname()}:{folder.resolve()}".encode(), digest_size=6).hexdigest()


def _name(key: tuple[str, str]) -> str:
    return "/".join(key)
