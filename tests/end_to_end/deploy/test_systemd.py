"""What systemd itself says of the service's sandbox."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.deployment.tools import ROOT
from tests.end_to_end.http.servers import command

MOST = 15
"""Tenths of systemd's exposure level: 1.1 with systemd 252, most of it the network that a gateway needs."""


def test_the_service_may_do_little(tmp_path: Path) -> None:
    """Its exposure, by systemd's own measure, is low."""
    program = command("systemd-analyze")
    unit = (ROOT / "deploy/systemd/equipoise.service").read_text().replace("/opt/equipoise/bin/equipoise", "/bin/true")
    (tmp_path / "equipoise.service").write_text(unit)
    done = subprocess.run(
        [program, "security", "--offline=true", f"--threshold={MOST}", "--no-pager", "equipoise.service"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
