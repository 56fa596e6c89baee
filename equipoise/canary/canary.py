"""The canary of a running gateway: carries out orders, decides by the evidence, and remembers both.

A verdict takes effect in the breath in which it is reached and is written down afterwards; an operator's order is written
first and then takes effect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from msgspec.structs import replace

from equipoise.balancer import LoadBalancer
from equipoise.canary.candidates import (
    Candidate,
    CandidateRefused,
    Candidates,
    NothingDiffers,
    Replay,
    changes_strategy,
    differences,
    not_available,
    outlined,
)
from equipoise.canary.keeping import TOPIC, Keeping
from equipoise.canary.settings import Settings
from equipoise.canary.shadow import Shadow, copier
from equipoise.canary.sides import CanaryBalancer
from equipoise.canary.telling import MOST_SHOWN, Reporting, closed_when_idle, entry_of, event_of, started
from equipoise.canary.watch import Watch
from equipoise.core.canary import Judgement
from equipoise.core.ladder import FULL, Command, Move, Stage, Standing, decide, holding, ordered, too_quiet
from equipoise.stores.sqlite import StoreError
from equipoise.stores.state import Entry, SharedState, StateConflict

Document = dict[str, Any]
BY_ITSELF = "equipoise"
LOOK_EVERY, LOOK_IDLE = 0.5, 5.0
JOURNAL_SHOWN = 20
LONGEST_WHO, LONGEST_WHY = 200, 1000


class Canary:
    """One canary at a time, beside the questions of its balancer. Orders give a document with an `outcome`."""

    outlasts_a_swap = True

    def __init__(
        self,
        balancer: CanaryBalancer,
        store: SharedState,
        candidates: Candidates,
        settings: Settings,
        *,
        replay: Replay = not_available,
        on_trouble: Callable[[str], None] = lambda message: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.balancer, self.settings, self.standing, self.trouble = balancer, settings, Standing(), ""
        self.watch = Watch(settings.rules, store, TOPIC, self.look)
        self._keeping, self.candidates, self._replay, self._wall = Keeping(store), candidates, replay, wall
        self._on_trouble, self._ordering, self._over = on_trouble, asyncio.Lock(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._window = (0.0, 0)
        balancer.on_replaced = self._control_replaced
        balancer.observers.append(self.watch.observe)
        balancer.beside(self)

    async def start(self) -> None:
        """Go on with what is stored, then look every half second: also for what cannot be read yet, which is told."""
        with self._reporting():
            await self._refresh()
        self._spawn(self._watch(), "canary")

    async def close(self) -> None:
        """Stop looking; what was seen is written, the candidate and the store closed."""
        self._over.set()
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        with self._reporting():
            await self._settle()
        if self.balancer.shadow is not None:
            await self.balancer.shadow.close()
        candidate = self.balancer.stand(None)
        if candidate is not None:
            await candidate.close()
        await self._keeping.close()

    async def begin(
        self,
        candidate: Candidate,
        share: float,
        *,
        force: bool = False,
        dry_run: bool = False,
        who: str = "",
        why: str = "",
    ) -> Document:
        """Start a canary with so many percent of keys. Raises ValueError, CandidateRefused, StoreError."""
        if not 0.0 < share < FULL:
            raise ValueError("a canary starts above 0 and below 100 percent")
        async with self._ordering:
            await self._refresh()
            if self._there:
                return self._refused(f"{self.standing.candidate} is {self.standing.stage.value}: abort it first")
            config = await self.candidates.config(candidate)
            different = differences(self.candidates.control(), config)
            fresh = await self.candidates.built(config)
            refusal = "" if force else self._lacking(fresh) or await self._not_replayed(config, different)
            if refusal or dry_run:
                await fresh.close()
                return (
                    self._refused(refusal)
                    if refusal
                    else {"outcome": "planned", "at": share, "differs": outlined(different)}
                )
            await self.candidates.keep(candidate)
            await self._begun(candidate, fresh, self._starting(candidate, share, outlined(different), who, why))
            return {"outcome": "started", "differs": outlined(different), **self.document()}

    async def order(
        self,
        command: Command,
        *,
        full: bool = False,
        share: float | None = None,
        dry_run: bool = False,
        who: str = "",
        why: str = "",
    ) -> Document:
        """Carry out an order. Raises ValueError for one that makes no sense now, StoreError if it cannot be remembered."""
        async with self._ordering:
            await self._refresh()
            move = ordered(self.settings.plan, self.standing, command, self._wall(), full=full, share=share)
            move = replace(move, who=who[:LONGEST_WHO], why=why[:LONGEST_WHY])
            if dry_run:
                return {"outcome": "planned", "would": move.message, **self.document()}
            standing = self.standing.moved(move, self.watch.candidates)
            try:
                await self._keeping.write(standing, self._entry(move))
            except StateConflict:
                return self._refused("the canary was changed while this order was examined: look at it and order again")
            self._go_by(standing)
            self._tell(move)
            return {"outcome": move.verdict, "message": move.message, **self.document()}

    async def status(self) -> Document:
        """Where it stands, the evidence measure by measure, what is waited for, the journal's newest lines."""
        judged, shadow = self.watch.judged(), self.balancer.shadow
        return {
            **self.document(),
            "keeping": self.trouble or "ok",
            "plan": msgspec.to_builtins(self.settings.plan),
            "requests": {"control": self.watch.all.control, "candidate": self.watch.candidates},
            "finding": judged.finding.value,
            "message": judged.message,
            "waits": self._waits(judged),
            "measures": self.watch.table(),
            "shadow": shadow.status() if shadow is not None else None,
            "journal": [msgspec.to_builtins(entry) for entry in await self._keeping.journal(JOURNAL_SHOWN)],
        }

    def document(self) -> Document:
        """Where it stands, in short."""
        standing = self.standing
        return {
            "candidate": standing.candidate,
            "stage": standing.stage.value,
            "share": standing.share if standing.serving else 0.0,
            "since": standing.since,
            "era": standing.era,
            "history": [msgspec.to_builtins(move) for move in standing.history],
        }

    @property
    def _there(self) -> bool:
        return self.standing.alive or self.standing.serving

    def look(self) -> None:
        """Judge now; what is decided takes effect at once and is written soon."""
        standing, count = self.standing, self.watch.candidates
        if not self._there:
            return
        judged = self.watch.judged()
        move = decide(self.settings.plan, standing, judged, count, count, self._wall())
        if move is None:
            return
        moved = standing.moved(move, count)
        if standing.stage is Stage.SHADOW:
            moved = replace(moved, era=moved.era + 1, from_count=0)  # copies are judged by themselves
        self._decided(replace(move, who=BY_ITSELF), moved, judged)

    def _decided(self, move: Move, standing: Standing, judged: Judgement | None = None) -> None:
        self._keeping.owe(standing, self._entry(move, judged))
        self._go_by(standing)
        self._tell(move, judged)
        self._spawn(self._settle_soon(), "canary is written")

    def _starting(self, candidate: Candidate, share: float, different: list[str], who: str, why: str) -> Move:
        copies = self.settings.plan.copies if self.settings.copies_per_hour else 0
        return Move(
            verdict="started",
            stage=Stage.SHADOW if copies else Stage.RUNNING,
            share=share,
            message=started(candidate.name, copies, share, different),
            wall=self._wall(),
            who=who[:LONGEST_WHO],
            why=why[:LONGEST_WHY],
        )

    async def _begun(self, candidate: Candidate, fresh: LoadBalancer, move: Move) -> None:
        new = Standing(candidate=candidate.name, digest=candidate.digest, era=self.standing.era + 1)
        standing = new.moved(move, 0)
        try:
            await self._keeping.write(standing, Entry(what=move.message, who=move.who, why=move.why, wall=move.wall))
        except StoreError:
            await fresh.close()
            raise
        await self._stood(fresh)
        self._go_by(standing)
        self._tell(move)
        await asyncio.to_thread(self.watch.forget_earlier)

    async def _stood(self, fresh: LoadBalancer) -> None:
        await fresh.start()
        self._retire(self.balancer.stand(fresh))

    def _retire(self, former: LoadBalancer | None) -> None:
        if former is not None:
            self._spawn(closed_when_idle(former), "former candidate")

    def _go_by(self, standing: Standing) -> None:
        """Take effect, now: who is in, and whether a candidate is there at all."""
        if standing.era != self.standing.era:
            self._window = (self._wall(), 0)
        self.standing = standing
        self.watch.begin(standing.era)
        self.watch.copies = standing.stage is Stage.SHADOW
        self.balancer.percentage = standing.share if standing.serving else 0.0
        self.balancer.watch = self.watch if self._there else None
        self.balancer.shadow = self._copier() if standing.stage is Stage.SHADOW else None
        if not self._there:
            self._retire(self.balancer.stand(None))

    async def _refresh(self) -> None:
        """Adopt what is stored, where somebody else changed it; the candidate is built from the text that was kept."""
        standing = await self._keeping.changed()
        if standing is None:
            return
        known = self.balancer.candidate is not None and standing.digest == self.standing.digest
        if known or not (standing.alive or standing.serving):
            self._go_by(standing)
        else:
            await self._stand_again(standing)

    async def _stand_again(self, standing: Standing) -> bool:
        """Build the candidate of a canary that goes on; one that cannot be built any more is rolled back."""
        try:
            config = await self.candidates.config(await self.candidates.kept(standing.digest))
            await self._stood(await self.candidates.built(config))
        except NothingDiffers:
            message = f"Canary finished: the configuration says what {standing.candidate} says"
            self._decided(*self._moved(standing, "finished", message, Stage.ENDED, 0.0))
            return False
        except CandidateRefused as error:
            message = f"{standing.candidate} cannot be built any more, rolled back: {error}"
            self._decided(*self._moved(standing, "rolled_back", message, Stage.ENDED, 0.0))
            return False
        self._go_by(standing)
        return True

    def _moved(
        self, standing: Standing, verdict: str, message: str, stage: Stage, share: float
    ) -> tuple[Move, Standing]:
        move = Move(verdict=verdict, stage=stage, share=share, message=message, wall=self._wall(), who=BY_ITSELF)
        return move, standing.moved(move, self.watch.candidates)

    def _control_replaced(self) -> None:
        """The control has another configuration: the candidate is laid over that, and the comparison begins anew."""
        if self._there:
            self._spawn(self._compare_anew(), "canary begins anew")

    async def _compare_anew(self) -> None:
        async with self._ordering:
            was = self.standing
            anew = replace(was, era=was.era + 1, from_count=0, since=self._wall())
            if not (was.alive or was.serving) or not await self._stand_again(anew):
                return
            message = "Restart analysis: the control's configuration was replaced"
            self._decided(*self._moved(anew, "restarted", message, anew.stage, anew.share))

    async def _watch(self) -> None:
        while not await self._over_within(LOOK_EVERY if self._there else LOOK_IDLE):
            with self._reporting():
                await self._settle()
                await self._refresh()
                self.trouble = ""
            self.look()
            self._look_for_quiet()

    async def _settle(self) -> None:
        await self._keeping.pay()
        await self.watch.sync()

    async def _settle_soon(self) -> None:
        with self._reporting():
            await self._settle()

    async def _over_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._over.wait()
        except TimeoutError:
            return False

    def _look_for_quiet(self) -> None:
        """Once a window: were there enough questions to go on by? Said in the journal when that changes."""
        (began, before), now, count = self._window, self._wall(), self.watch.candidates
        if not self.standing.serving or now - began < self.settings.plan.quiet_seconds:
            return
        self._window = (now, count)
        quiet = too_quiet(self.settings.plan, count - before, now - began)
        if bool(quiet) is bool(self.standing.waits):
            return
        verdict, message = ("held", f"Pause advancement: {quiet}") if quiet else ("resumed", "Resume advancement")
        move, standing = self._moved(self.standing, verdict, message, self.standing.stage, self.standing.share)
        self._decided(move, replace(standing, waits=quiet))

    def _copier(self) -> Shadow:
        return copier(
            self.balancer.answer,
            self.balancer.for_shadow,
            wanted=lambda: self.standing.stage is Stage.SHADOW,
            share=self.settings.copy_share,
            per_hour=self.settings.copies_per_hour,
            parallel=self.settings.copies_at_once,
            clock=self.balancer.selection.clock,
        )

    def _lacking(self, fresh: LoadBalancer) -> str:
        gone = sorted(set(self.balancer.models()) - set(fresh.models()))
        named = ", ".join(gone[:MOST_SHOWN])
        return (
            f"clients may ask for {named}, which the candidate does not know (--force passes over it)" if gone else ""
        )

    async def _not_replayed(self, config: Any, different: list[str]) -> str:
        if not self.settings.require_replay or not changes_strategy(different):
            return ""
        verdict = await self._replay(config)
        return "" if verdict.ok else f"a strategy needs a replay verdict before its first percent: {verdict.why}"

    def _waits(self, judged: Judgement) -> str:
        standing, plan = self.standing, self.settings.plan
        if standing.stage is not Stage.RUNNING:
            return ""
        held = holding(plan, standing, judged, self.watch.candidates, self._wall())
        return standing.waits or held or ("" if plan.climbs else "an operator promotes it")

    def _entry(self, move: Move, judged: Judgement | None = None) -> Entry:
        return entry_of(move, self.watch, judged)

    def _tell(self, move: Move, judged: Judgement | None = None) -> None:
        self.balancer.tell(event_of(self.standing.candidate, move, self.watch, judged))

    def _refused(self, why: str) -> Document:
        return {"outcome": "refused", "reason": why, **self.document()}

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _reporting(self) -> Reporting:
        return Reporting(self._troubled)

    def _troubled(self, message: str) -> None:
        if message != self.trouble:
            self._on_trouble(message)
        self.trouble = message
