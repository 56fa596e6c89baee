"""What processes have learned: each writes under a name of its own and reads what others wrote, so none overwrites another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from equipoise.stores.database import Database
from equipoise.stores.state import StateConflict, StateStore

TOPIC = "learning"


def read(where: Path | Database, own: str) -> dict[str, Any]:
    """What was written under this name; nothing where nothing was. Raises StoreError."""
    with closing(StateStore(where)) as store:
        return store.read(f"{TOPIC}/{own}")[1] or {}


def exchange(where: Path | Database, own: str, states: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Write our own, return what others wrote. Blocks; raises StoreError."""
    with closing(StateStore(where)) as store:
        _write(store, f"{TOPIC}/{own}", states)
        _write(store, TOPIC, {"instances": sorted({own, *_instances(store)})})
        return [store.read(f"{TOPIC}/{name}")[1] or {} for name in _instances(store) if name != own]


def _instances(store: StateStore) -> list[str]:
    known = (store.read(TOPIC)[1] or {}).get("instances", [])
    return [str(name) for name in known]


def _write(store: StateStore, name: str, value: Mapping[str, Any]) -> None:
    """Replace a state, whoever changed it meanwhile."""
    for _ in range(3):
        version, known = store.read(name)
        if known == json.loads(json.dumps(value)):
            return
        try:
            store.write(name, value, version, None)
        except StateConflict:
            continue
        return
