"""`equipoise dashboards export|push`"""

from __future__ import annotations

import asyncio
import json as text
import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from equipoise.build.metrics import grafana_of
from equipoise.cli.configured import configuration
from equipoise.cli.exits import PROBLEMS, USAGE, Failure
from equipoise.cli.output import Output, as_documents, say
from equipoise.config.metrics import GrafanaConfig
from equipoise.telemetry.grafana import Grafana, Refused, dashboards


def export(
    folder: Path = Path(),
    /,
    *,
    dry_run: bool = False,
    output: Output = None,
    json: bool = False,
) -> None:
    """Write Grafana's dashboards as JSON files, for its provisioning or for importing by hand.

    Parameters
    ----------
    folder: Path
        Where to; the current folder when absent.
    dry_run: bool
        Only say what would be written.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    paths = {folder / name: dashboard for name, dashboard in dashboards().items()}
    for path, dashboard in {} if dry_run else paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.dumps(dashboard, indent=2, ensure_ascii=False) + "\n", "utf-8")
        except OSError as error:
            raise Failure(f"cannot write {path}: {error.strerror}", USAGE) from error
    told = [str(path) for path in paths]
    if not as_documents({"written": [] if dry_run else told, "files": told}, output, json):
        for name in told:
            say(f"{'would write' if dry_run else 'wrote'} {name}")


def push(
    *,
    url: str | None = None,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    dry_run: bool = False,
    output: Output = None,
    json: bool = False,
) -> None:
    """Put the dashboards into a Grafana; those of the same name are replaced.

    Parameters
    ----------
    url: str
        Its address; grafana.api_url (GRAFANA_API_URL) when absent. The token is grafana.api_key (GRAFANA_API_KEY).
    config: Path
        The configuration file; otherwise the usual places.
    dry_run: bool
        Only say what would be put there.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    of = _said() if url and config is None else configuration(config, quiet=True).config.grafana
    address = url or of.api_url
    if address is None:
        raise Failure("no Grafana is named", USAGE, "--url, grafana.api_url or GRAFANA_API_URL")
    told = asyncio.run(_put(grafana_of(of, address), dry_run=dry_run))
    if not as_documents({"grafana": address, "dashboards": told}, output, json):
        for title, path in told.items():
            say(f"{'would put' if dry_run else 'put'} {title} there{f': {address}{path}' if path else ''}")


def _said() -> GrafanaConfig:
    """A Grafana named on the command line wants no configuration; its token is in the environment."""
    return GrafanaConfig.model_validate({"api_key": os.environ.get("GRAFANA_API_KEY", "")})


async def _put(grafana: Grafana, *, dry_run: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        for dashboard in dashboards().values():
            found[_title(dashboard)] = "" if dry_run else await grafana.put(dashboard)
    except Refused as error:
        raise Failure(f"Grafana did not take it: {error}", PROBLEMS) from error
    finally:
        await grafana.close()
    return found


def _title(dashboard: dict[str, Any]) -> str:
    return str(dashboard["title"])
