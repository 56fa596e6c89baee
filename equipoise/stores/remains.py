"""What is free of a gateway's slices, in memory that outlives it: given back when it has died.

One number an account, never more than what is neither spent nor promised at that instant: it is lowered before a question
is sent and raised after its bill. The rest of what the dead held stays lost, for its last questions may have been billed.
"""

from __future__ import annotations

import hashlib
from collections.abc import MutableSequence
from pathlib import Path

from equipoise.stores.copies import FREE
from equipoise.stores.leases import LeaseStore
from equipoise.stores.orphans import Belongings, claimed

SLOTS = 4_096
NAME, SLOT = 16, 24
"""Bytes of a digest, and of a slot: a digest of the account's name, and a number."""
BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Another word whenever the machine starts: what only memory had is gone then, and an earlier file says nothing."""


class Remains:
    """One holder's numbers, in a file of its own in the folder; SLOTS accounts have a place there.

    Raises OSError if there can be none, as on a system that does not tell its starts apart.
    """

    def __init__(self, folder: Path, holder: str) -> None:
        boot = _digest(BOOT.read_text())
        self._file = Belongings(folder / f"{FREE}{holder}", SLOT * (SLOTS + 1))
        self._memory = memoryview(self._file.memory)
        self._memory[:NAME] = boot
        self._places: dict[str, MutableSequence[int]] = {}

    def place(self, account: str) -> MutableSequence[int]:
        """The number of this account; one that nobody will see when all places are taken."""
        if account not in self._places:
            number = len(self._places) + 1
            self._places[account] = self._slot(account, number * SLOT) if number <= SLOTS else [0]
        return self._places[account]

    def close(self) -> None:
        """Nothing is held any more."""
        self._file.close()

    def abandon(self) -> None:
        """Let go of it, as the end of the process does."""
        self._file.abandon()

    def _slot(self, account: str, at: int) -> MutableSequence[int]:
        self._memory[at : at + NAME] = _digest(account)
        number: MutableSequence[int] = self._memory[at + NAME : at + SLOT].cast("q")  # type: ignore[assignment]
        return number


def give_back(folder: Path, store: LeaseStore, now: float) -> int:
    """Give back what was free of the slices of gateways of this machine that have died; gives the sum of all accounts.

    A gateway is dead when its lease is over and its process gone. The file goes first: if we die too, it stays lost.
    Raises StoreError.
    """
    return sum(_given_back(path, store, now) for path in sorted(folder.glob(FREE + "*")))


def _given_back(path: Path, store: LeaseStore, now: float) -> int:
    holder = path.name.removeprefix(FREE)
    until, accounts = store.holdings(holder)
    data = claimed(path) if until <= now else b""
    if data[:NAME] != _digest(BOOT.read_text()):
        return 0
    numbers = {data[at : at + NAME]: data[at + NAME : at + SLOT] for at in range(SLOT, len(data), SLOT)}
    free = {each: int.from_bytes(numbers.get(_digest(each), b""), "little", signed=True) for each in accounts}
    return store.give_back(holder, free, now)


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=NAME).digest()
