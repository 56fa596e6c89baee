"""A name that one process at a time goes by."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from equipoise.stores.names import HeldName

HOLD = "import sys; from pathlib import Path; from equipoise.stores.names import HeldName; "
HOLD += "print(HeldName(Path(sys.argv[1]), 'main').name, flush=True); sys.stdin.read()"


def test_each_has_a_name_of_its_own_and_a_dead_one_gives_it_back(tmp_path: Path) -> None:
    """Over processes: the second gets a number; what the first held is free as soon as it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "main\n"
        second = HeldName(tmp_path, "main")
        assert second.name == "main-2"
        first.kill()
        first.wait(timeout=10)
    third = HeldName(tmp_path, "main")
    assert third.name == "main"
    for name in (second, third):
        name.release()
        name.release()


def test_a_folder_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    """Nobody believes that he alone goes by the name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        HeldName(tmp_path / "file", "main")
