"""What is shipped is what is said: dependencies with reasons, the bill of materials, and checks that find what is wrong."""

from __future__ import annotations

import json
import re
import tomllib
import zipfile
from pathlib import Path

import pytest

import equipoise
from bench.release import checks
from bench.release.lock import ROOT, locked
from bench.release.sbom import SBOM, document, reference, written

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
NAME = re.compile(r"[A-Za-z0-9._-]+")


def names(requirements: list[str]) -> list[str]:
    found = [NAME.match(requirement) for requirement in requirements]
    return [match[0] for match in found if match]


@pytest.mark.parametrize("name", names(PROJECT["dependencies"]))
def test_every_dependency_has_a_reason(name: str) -> None:
    """A row with a sentence, on the page."""
    (row,) = re.findall(rf"^\| `{re.escape(name)}` \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert len(row[0].split()) >= 5


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_every_extra_has_a_reason_and_names_its_packages(extra: str) -> None:
    """On the same page."""
    (row,) = re.findall(rf"^\| `{extra}` \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert [name for name in names(PROJECT["optional-dependencies"][extra]) if f"`{name}`" not in row[0]] == []


def test_the_bill_of_materials_is_that_of_the_lock() -> None:
    """Every package with version, hashes and licence; made from the lock and nothing else."""
    assert SBOM.read_text("utf-8") == written(), "run: make sbom"
    bill = json.loads(written())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert [of["name"] for of in bill["components"] if not of.get("licenses") or not of["hashes"]] == []
    assert {of["purl"] for of in bill["components"]} == {reference(pinned) for pinned in locked()}
    ours = next(of for of in bill["dependencies"] if of["ref"].startswith("pkg:pypi/equipoise@"))
    direct = {name.replace(".", "-") for name in [*names(PROJECT["dependencies"]), "uvicorn"]}
    assert {ref.rpartition("/")[2].partition("@")[0] for ref in ours["dependsOn"]} == direct


def test_another_lock_is_another_bill() -> None:
    """A changed hash shows."""
    first, *rest = locked()
    changed = [first._replace(hashes=("0" * 64,)), *rest]
    assert document(changed)["serialNumber"] != document([first, *rest])["serialNumber"]


def wheel_of(folder: Path, **files: bytes) -> Path:
    path = folder / f"equipoise-{equipoise.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("equipoise/a.py", b"-----BEGIN PRIVATE" + b" KEY-----"),
        ("equipoise/a.py", b"key = 'sk-proj-" + b"A1b2" * 12 + b"'"),
        ("equipoise/a.py", b"AKIA" + b"ABCDEFGHIJKLMNOP"),
        ("equipoise/a.py", b"PATH = '/build/here/x'"),
        (".env", b""),
        ("state/ledger.sqlite3", b""),
        ("equipoise/__pycache__/a.pyc", b""),
    ],
)
def test_what_must_not_be_shipped_is_found(tmp_path: Path, name: str, content: bytes) -> None:
    """Keys, places of this machine, and somebody's state."""
    assert checks.leaks(wheel_of(tmp_path, **{name: content}), ("/build/here",)) != []
    assert checks.leaks(wheel_of(tmp_path, **{"equipoise/a.py": b"x = 1\n"}), ("/build/here",)) == []


def test_metadata_that_says_too_little_is_found(tmp_path: Path) -> None:
    """No licence, no description, a name that is none."""
    for text in (
        b"Metadata-Version: 2.4\nName: equipoise\nVersion: 1\n",
        b"Metadata-Version: 2.4\nName: -\nVersion: x\n",
    ):
        assert checks.metadata(wheel_of(tmp_path, **{"e.dist-info/METADATA": text})) != []


def test_a_wheel_without_its_bill_or_with_another_is_found(tmp_path: Path) -> None:
    """Beside the right one, which is not."""
    place = f"equipoise-{equipoise.__version__}.dist-info/sboms/{SBOM.name}"
    assert checks.bill(wheel_of(tmp_path, a=b"")) != []
    assert checks.bill(wheel_of(tmp_path, **{place: b"{}"})) != []
    assert checks.bill(wheel_of(tmp_path, **{place: SBOM.read_bytes()})) == []


def test_two_builds_that_differ_are_found(tmp_path: Path) -> None:
    """In a byte, or in what there is."""
    for folder, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.whl").write_bytes(content)
    assert checks.same(tmp_path / "a", tmp_path / "c") == []
    assert checks.same(tmp_path / "a", tmp_path / "b") != []
    (tmp_path / "c" / "more").write_bytes(b"")
    assert checks.same(tmp_path / "a", tmp_path / "c") != []


def test_the_licence_is_there_and_said() -> None:
    """The whole text of Apache-2.0."""
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert (PROJECT["license"], PROJECT["license-files"]) == ("Apache-2.0", ["LICENSE"])
