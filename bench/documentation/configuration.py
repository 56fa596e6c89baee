"""Every field of a configuration, from the schema; every variable of the environment, from the loader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic.fields import FieldInfo

from equipoise.config import environment as env
from equipoise.config.changes import SETTABLE
from equipoise.config.fields import Section
from equipoise.config.pending import PENDING_FIELDS, PENDING_VARIABLES
from equipoise.config.save import to_yaml
from equipoise.config.schema import Config

HEAD = """\
# Configuration reference

What each field means and what it is when left out. How files, variables and changes at run time come together is told
in [Configuration](../configuration.md). *(run time)* marks what `equipoise config set` can change while a gateway runs,
*(not yet)* what is accepted but has no effect until the feature it names is built.
"""
OTHERS = {
    "EQUIPOISE_CONFIG": "the configuration file",
    "EQUIPOISE_URL": "the gateway that `equipoise ask` asks",
    "EQUIPOISE_ADMIN_URL": "the admin listener that commands speak to",
    "EQUIPOISE_API_KEY": "the gateway's key (`keys.environment`), and the one that commands show",
    "EQUIPOISE_ADMIN_KEY": "the key of the admin listener (`listen.admin_key`), and the one that commands show there",
    "DAILY_COST_BUDGET": "dollars a day for everybody: the budget `daily`",
    "HOURLY_COST_BUDGET": "dollars an hour for everybody: the budget `hourly`",
    "ENVIRONMENT": "development, staging, production or high_availability: the preset to begin with where there is no file",
    "OPENAI_API_KEY": "adds the backend `openai`; the key of openai_direct backends that have none",
    "OPENAI_BASE_URL": "the address of that backend; without a key it adds the backend `local`",
    "OPENAI_MODEL": "its model",
    "PERPLEXITY_API_URL": "the address of the Perplexity backends that keys add",
    "LIGHTRAG_API_KEY": "the key of lightrag backends that have none",
    "LIGHTRAG_SERVICE_KEY": "the same, where LIGHTRAG_API_KEY is not set",
}


def configuration() -> str:
    """The page."""
    return "\n".join([HEAD, *_section(Config, "", "The top level"), *_variables()])


def _section(section: type[Section], prefix: str, title: str) -> Iterator[str]:
    yield f"## {title}\n"
    if prefix:
        yield f"{(section.__doc__ or '').strip().splitlines()[0]}\n"
    yield "| field | default | |"
    yield "|---|---|---|"
    for name, field in section.model_fields.items():
        yield f"| `{prefix}{name}` | {_default(field)} | {_told(prefix + name, field)} |"
    yield ""
    for name, field in section.model_fields.items():
        inner = _inner(field.annotation)
        if inner is not None:
            path = f"{prefix}{name}.*." if _named(field.annotation) else f"{prefix}{name}."
            yield from _section(inner, path, f"`{path[:-1]}`")


def _told(path: str, field: FieldInfo) -> str:
    text = " ".join((field.description or "").replace("|", "\\|").split())
    marks = [" *(run time)*"] if path in SETTABLE or (path.startswith("retry.") and "retry.*" in SETTABLE) else []
    marks += [f" *(not yet: {PENDING_FIELDS[path]})*"] if path in PENDING_FIELDS else []
    return text + "".join(marks)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None or value in ((), frozenset(), {}) or isinstance(value, Section):
        return ""
    return f"`{to_yaml({'v': getattr(value, 'value', value)}).removeprefix('v: ').strip()}`"


def _inner(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part))), None)


def _named(annotation: Any) -> bool:
    return "dict[" in str(annotation)


def _variables() -> Iterator[str]:
    yield "## Variables of the environment\n"
    yield "Any field is also `EQUIPOISE_` and its path, with `__` between the parts: `EQUIPOISE_BACKEND_INSTANCES__PAPERS__WEIGHT=2`."
    yield "Those of the earlier system keep their meaning.\n"
    yield "| variable | |"
    yield "|---|---|"
    for name in dict.fromkeys(env.EVERY_NAME):
        yield f"| `{name}` | {_variable(name)} |"


def _variable(name: str) -> str:
    if name in env.VARIABLES:
        return f"`{'.'.join(map(str, env.VARIABLES[name]))}`"
    if name in env.EVERY_BACKEND:
        return f"`{env.EVERY_BACKEND[name]}` of every backend"
    if name in PENDING_VARIABLES:
        return f"no effect yet ({PENDING_VARIABLES[name]})"
    for kind, names in (("lightrag", env.LIGHTRAG_URLS), ("perplexity", env.PERPLEXITY_KEYS)):
        if name in names and name not in OTHERS:
            return f"adds the {kind} backend `{names[name]}` where no file names any"
    return OTHERS[name]
