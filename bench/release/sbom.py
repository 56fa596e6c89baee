"""`python -m bench.release.sbom`: the bill of materials (CycloneDX 1.6, JSON) from the hashed lock and installed metadata.

It is made whenever the lock is, committed beside it, and goes into the wheel (PEP 770). The same lock gives the same bytes.
"""

from __future__ import annotations

import json
import re
import uuid
from importlib import metadata
from typing import Any

import equipoise
from bench.release.lock import OURSELVES, ROOT, Pinned, locked

SBOM = ROOT / "requirements" / "equipoise.cdx.json"
FROM_CLASSIFIERS = {"MIT License": "MIT", "Apache Software License": "Apache-2.0", "BSD License": "BSD-3-Clause"}
FROM_WORDS = {"MIT License": "MIT", "MIT": "MIT", "BSD-3-Clause": "BSD-3-Clause", "Apache-2.0": "Apache-2.0"}
ELSEWHERE = {"httpx2-jsfetch": "BSD-3-Clause"}
"""Of what is never installed on a system that we run on (emscripten), by its publisher's page."""
NAMESPACE = uuid.UUID("7f1e5a0c-5f0b-4d7e-9a53-3c1b3f6f6b10")


def licence_of(name: str) -> str | None:
    """An SPDX expression, by the package's own metadata; None where it says nothing that is known."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    if said.get("License-Expression"):
        return str(said["License-Expression"])
    if said.get("License") in FROM_WORDS:
        return FROM_WORDS[str(said["License"])]
    names = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or [] if line.startswith("License ::")]
    return next((FROM_CLASSIFIERS[name] for name in names if name in FROM_CLASSIFIERS), None)


def reference(pinned: Pinned) -> str:
    """The package URL of a pinned package."""
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', pinned.name).lower()}@{pinned.version}"


def document(packages: list[Pinned]) -> dict[str, Any]:
    """The whole bill."""
    ours = {
        "type": "application",
        "bom-ref": f"pkg:pypi/equipoise@{equipoise.__version__}",
        "name": "equipoise",
        "version": equipoise.__version__,
        "purl": f"pkg:pypi/equipoise@{equipoise.__version__}",
        "licenses": [{"expression": "Apache-2.0"}],
    }
    components = [component(pinned) for pinned in packages]
    content = json.dumps([ours, components], sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, content)}",
        "version": 1,
        "metadata": {"component": ours},
        "components": components,
        "dependencies": dependencies(packages, str(ours["bom-ref"])),
    }


def component(pinned: Pinned) -> dict[str, Any]:
    """One package; its hashes are those of every file that the lock accepts for it."""
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": reference(pinned),
        "name": pinned.name,
        "version": pinned.version,
        "purl": reference(pinned),
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in sorted(pinned.hashes)],
    }
    licence = licence_of(pinned.name) or ELSEWHERE.get(pinned.name)
    if licence is not None:
        found["licenses"] = [{"expression": licence}]
    if "emscripten'" in pinned.marker and "==" in pinned.marker.rpartition("sys_platform")[2]:
        found["scope"] = "excluded"
    if pinned.marker:
        found["properties"] = [{"name": "equipoise:marker", "value": pinned.marker}]
    return found


def dependencies(packages: list[Pinned], ours: str) -> list[dict[str, Any]]:
    """Who wants whom; several versions of one package stand for one another."""
    references = {
        pinned.name: [reference(other) for other in packages if other.name == pinned.name] for pinned in packages
    }
    wants: dict[str, set[str]] = {ours: set()} | {reference(pinned): set() for pinned in packages}
    for pinned in packages:
        for name in pinned.via:
            for wanting in [ours] if name == OURSELVES else references.get(name.partition("[")[0], []):
                wants[wanting].add(reference(pinned))
    return [{"ref": name, "dependsOn": sorted(others)} for name, others in sorted(wants.items())]


def written() -> str:
    """The bill of the present lock as text."""
    return json.dumps(document(locked()), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SBOM.write_text(written(), "utf-8")
    print(f"wrote {SBOM.relative_to(ROOT)}")
