"""What is remembered of keys that are kept on a server: private, and believed for a while only."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from equipoise.gateway.known_keys import GOOD_SECONDS, NONE_SECONDS, KnownKeys
from equipoise.stores.keys import Secret, StoredKey

KEYS = [StoredKey(name="app", tenant="ann", secrets=(Secret("0" * 64, "sk-eq-ab…cdef"),), routes=("auto",))]


def aged(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


@pytest.mark.parametrize(("keys", "seconds"), [(KEYS, GOOD_SECONDS), ([], NONE_SECONDS)])
def test_it_is_believed_for_so_long(tmp_path: Path, keys: list[StoredKey], seconds: float) -> None:
    """That there were no keys opens the door to everybody: that is believed for minutes, keys for a day."""
    path = tmp_path / "state" / "known-keys.json"
    assert KnownKeys(path).read() is None
    KnownKeys(path).keep(keys, changed=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KnownKeys(path).read() == keys
    aged(path, seconds - 60)
    assert KnownKeys(path).read() == keys
    aged(path, seconds + 60)
    assert KnownKeys(path).read() is None


def test_asking_again_makes_it_younger_and_writes_nothing(tmp_path: Path) -> None:
    """The file's time is when the server was last asked."""
    path = tmp_path / "known-keys.json"
    KnownKeys(path).keep(KEYS, changed=True)
    aged(path, GOOD_SECONDS + 60)
    KnownKeys(path).keep(KEYS, changed=False)
    assert KnownKeys(path).read() == KEYS


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    """Half a file, or another's."""
    path = tmp_path / "known-keys.json"
    path.write_text('[{"name": ')
    assert KnownKeys(path).read() is None
