"""From a few lines of an operator to a second balancer: what differs, laid over what the gateway goes by.

A candidate is written as a part of a configuration: a strategy, a set of weights, a model, one more backend, or all of it.
What it does not say is the control's; `null` takes something away (RFC 7396). Keys stay references: only the text that was
given is kept, in the state directory, readable by its owner.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from equipoise.balancer import LoadBalancer
from equipoise.config import Config
from equipoise.config.changes import SETTABLE
from equipoise.config.errors import ConfigurationError, dotted
from equipoise.config.files import read
from equipoise.config.load import load
from equipoise.config.save import leaves, plain
from equipoise.config.secret import without_secrets
from equipoise.stores.state import SharedState
from equipoise.swap import built_beside

FIXED = (
    "listen",
    "server",
    "ledger",
    "state_dir",
    "shared",
    "keys",
    "log",
    "migration",
    "canary",
    "alerts",
    "quality",
    "idempotency",
    "cache",
    "read_only",
    "watch_file",
    "hooks",
    "tracing",
    "metrics",
    "grafana",
    "alert_webhook_url",
    "alert_email_recipients",
    "admin_keys",
    "jwt",
    "cors",
    "audit",
    "enable_prometheus_metrics",
)
"""What belongs to the gateway: a side cannot have another."""
CODE = ("function", "ca_file")
"""Fields that name code, or files of the gateway's machine."""
STRATEGY = ("strategy", "strategy_options", "routes.*.strategy")
STEERED = (
    *SETTABLE,
    "strategy_options.*",
    "strategy_options",
    "routes.*.strategy_options*",
    "backend_instances.*.model",
)
"""What anybody on this machine may try where the admin listener has no key."""
MOST_SHOWN = 8
TEXT = "canary-text/"
"""What the name of a shared text begins with, before its digest."""


class CandidateRefused(Exception):
    """What is wrong with it, for people."""


class NothingDiffers(CandidateRefused):
    """It says what the gateway goes by already."""


class ReplayVerdict(msgspec.Struct, frozen=True):
    """Would the candidate have done no worse on recorded decisions? `why` says on what evidence, or what is missing."""

    ok: bool
    why: str


Replay: TypeAlias = Callable[[Config], Awaitable[ReplayVerdict]]


async def not_available(candidate: Config) -> ReplayVerdict:
    """The verdict where nothing is recorded."""
    return ReplayVerdict(False, "no ledger is kept, so there are no recorded decisions to replay")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator gave: the text, whether it is the whole configuration, and what to call it."""

    name: str
    text: str
    whole: bool = False

    @property
    def digest(self) -> str:
        """Twelve digits by which it is found again."""
        kind = b"whole" if self.whole else b"part"
        return hashlib.sha256(kind + self.text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def differences(control: Config, candidate: Config) -> list[str]:
    """The fields in which both differ, as dotted names."""
    old, new = (dict(leaves(plain(of, everything=True))) for of in (control, candidate))
    return sorted(dotted(path) for path in old.keys() | new.keys() if old.get(path) != new.get(path))


def outlined(different: list[str]) -> list[str]:
    """The same for people: of what only one side has, its name alone and not all that is in it."""
    whole = tuple(f"{name}." for name in different)
    return [name for name in different if not name.startswith(whole)]


def changes_strategy(different: list[str]) -> bool:
    """Is another strategy, or are other options of one, among the differences?"""
    return any(name.startswith(STRATEGY[:2]) or name.endswith((".strategy", ".strategy_options")) for name in different)


def beyond_steering(different: Iterable[str]) -> list[str]:
    """Of the fields in which a candidate differs, those that decide where questions and keys go."""
    return [name for name in different if not any(fnmatchcase(name, pattern) for pattern in STEERED)]


class Candidates:
    """Keeps the texts in a folder, and builds balancers of them. `control` gives what the gateway goes by now.

    Where the state is shared by gateways that have no folder in common, texts are kept in `shared` as well.
    """

    def __init__(self, folder: Path, control: Callable[[], Config], shared: SharedState | None = None) -> None:
        self._folder, self.control, self._shared = folder, control, shared

    async def keep(self, candidate: Candidate) -> None:
        """Write it down. Raises OSError, and StoreError where it is shared."""
        await asyncio.to_thread(self._write, candidate)
        if self._shared is not None:
            await asyncio.to_thread(self._shared.keep, f"{TEXT}{candidate.digest}", msgspec.to_builtins(candidate))

    async def kept(self, digest: str) -> Candidate:
        """What was written down. Raises CandidateRefused when it is gone or cannot be read, StoreError where it is shared."""
        if self._shared is not None:
            _, found = await asyncio.to_thread(self._shared.read, f"{TEXT}{digest}")
            if found is not None:
                return msgspec.convert(found, Candidate)
        try:
            data = await asyncio.to_thread(self._file(digest, ".json").read_bytes)
            return msgspec.json.decode(data, type=Candidate)
        except (OSError, msgspec.DecodeError) as error:
            raise CandidateRefused(f"the candidate's text cannot be read: {error}") from error

    async def config(self, candidate: Candidate) -> Config:
        """The whole configuration of a candidate. Raises CandidateRefused with everything that is wrong."""
        return await asyncio.to_thread(self._config, candidate)

    async def code_in(self, candidate: Candidate) -> list[str]:
        """The fields that would have code or files loaded which the control does not name. Raises CandidateRefused."""
        given = await asyncio.to_thread(self._parsed, candidate)
        return list(code_brought(given, plain(self.control(), secrets=True)))

    async def built(self, config: Config) -> LoadBalancer:
        """A balancer of it. Raises CandidateRefused."""
        try:
            return await asyncio.to_thread(built_beside, config)
        except (ValueError, OSError, ImportError, AttributeError) as error:
            told = without_secrets(str(error))
            raise CandidateRefused(f"it is well-formed but cannot be used: {told}") from error

    def _config(self, candidate: Candidate) -> Config:
        control = self.control()
        given = self._parsed(candidate)
        data = given if candidate.whole else merged(plain(control, secrets=True), given)
        try:
            config = load(data).config
        except ConfigurationError as error:
            raise CandidateRefused(without_secrets(str(error))) from error
        different = differences(control, config)
        fixed = [name for name in different if name.partition(".")[0] in FIXED and not candidate.whole]
        if fixed:
            raise CandidateRefused(f"{', '.join(fixed[:MOST_SHOWN])}: belongs to the gateway, both sides share it")
        if not any(name.partition(".")[0] not in FIXED for name in different):
            raise NothingDiffers("it differs in nothing from what the gateway goes by")
        return config

    def _parsed(self, candidate: Candidate) -> Mapping[str, Any]:
        path = self._write(candidate, ".yaml")
        try:
            return read(path).data
        except ConfigurationError as error:
            raise CandidateRefused(without_secrets(str(error)).replace(str(path), candidate.name)) from error
        finally:
            path.unlink(missing_ok=True)

    def _write(self, candidate: Candidate, suffix: str = ".json") -> Path:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._file(candidate.digest, suffix)
        data = msgspec.json.encode(candidate) if suffix == ".json" else candidate.text.encode()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        return path

    def _file(self, digest: str, suffix: str) -> Path:
        return self._folder / f"candidate-{digest}{suffix}"


def code_brought(given: Any, own: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The fields of a candidate that would have code or files loaded which the gateway's own configuration does not name."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            below = own.get(name) if isinstance(own, Mapping) else None
            yield from code_brought(value, below, (*path, str(name)))
    elif isinstance(given, list | tuple):
        for value in given:
            yield from code_brought(value, own, path)
    elif given != own and _names_code(path[-1] if path else "", given):
        yield dotted(path)


def _names_code(name: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return name in CODE or value.lstrip().startswith("file:") or (name == "strategy" and ":" in value)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping laid over another (RFC 7396): mappings merge, None removes, everything else replaces."""
    found = dict(base)
    for name, value in over.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, Mapping):
            below = found.get(name)
            found[name] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            found[name] = value
    return found
