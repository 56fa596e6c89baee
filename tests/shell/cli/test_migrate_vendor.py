"""`equipoise migrate vendor`: the specified modules in an application's package of the same name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise.cli.migrate_vendor import MARK, sources
from tests.shell.cli.conftest import ROOT, Run

USE = """\
from lightrag_integration.production_load_balancer import ProductionLoadBalancer, create_default_production_config
from lightrag_integration.migration import HybridQueryRouter
import lightrag_integration
print(ProductionLoadBalancer(create_default_production_config()).get_pool_status()["total_backends"])
print(lightrag_integration.mine, lightrag_integration.__file__)
"""


@pytest.fixture
def package(folder: Path) -> Path:
    """An application's package with something of its own."""
    package = folder / "lightrag_integration"
    package.mkdir()
    (package / "__init__.py").write_text("mine = 'still here'\n")
    (package / "pipeline.py").write_text("# the application's\n")
    return package


def test_the_application_finds_the_modules_in_its_own_package(package: Path, run: Run) -> None:
    """Its own files stay, and the names work from where it imports them."""
    ran = run("migrate", "vendor", str(package))
    assert ran.code == 0, ran.err
    assert (package / "__init__.py").read_text() == "mine = 'still here'\n"
    assert (package / "pipeline.py").read_text() == "# the application's\n"
    used = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=package.parent,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert used.stdout.split()[:3] == ["2", "still", "here"], used.stderr
    assert str(package) in used.stdout


def test_foreign_files_are_not_overwritten(package: Path, run: Run) -> None:
    """Nothing at all is written then; --force replaces them and keeps each."""
    (package / "migration.py").write_text("# the application's own\n")
    ran = run("migrate", "vendor", str(package))
    assert ran.code == 4
    assert "migration.py" in ran.err
    assert not (package / "production_load_balancer.py").exists()
    assert run("migrate", "vendor", str(package), "--force").code == 0
    assert (package / "migration.py").read_text().startswith(MARK)
    assert (package / "migration.py.before-equipoise").read_text() == "# the application's own\n"


def test_it_can_be_run_again_and_brings_what_is_newer(package: Path, run: Run) -> None:
    """Files it wrote are its own."""
    run("migrate", "vendor", str(package))
    (package / "migration.py").write_text(MARK + "# an older version\n")
    ran = run("migrate", "vendor", str(package), "--json")
    states = json.loads(ran.out)["files"]
    assert states.pop("migration.py") == "ours"
    assert states.pop("__init__.py") == "kept"
    assert set(states.values()) == {"same"}
    assert (package / "migration.py").read_text() == sources()["migration.py"]


def test_a_dry_run_writes_nothing(package: Path, run: Run) -> None:
    """It says what would be written, and 1 when foreign files are in the way."""
    assert run("migrate", "vendor", str(package), "--dry-run").code == 0
    assert sorted(path.name for path in package.iterdir()) == ["__init__.py", "pipeline.py"]
    (package / "migration.py").write_text("x = 1\n")
    ran = run("migrate", "vendor", str(package), "--dry-run")
    assert (ran.code, "foreign" in ran.out) == (1, True)
    assert run("migrate", "vendor", str(package / "nowhere")).code == 2
