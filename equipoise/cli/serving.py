"""From a configuration to two listeners: the only place where everything is put together."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import equipoise
from equipoise.build import Estate
from equipoise.build.keys import callers_of, operators_of
from equipoise.build.metrics import provisioning_of
from equipoise.build.prices import alternatives_of, default_backend
from equipoise.canary import Canary
from equipoise.canary.assembly import from_config as with_canary
from equipoise.cli.canarying import Desk
from equipoise.cli.configured import estate_of
from equipoise.cli.dashboard import dashboard_of, recorder_of
from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.fleet import Fleet
from equipoise.cli.keeping import cache_of
from equipoise.cli.output import say, tell
from equipoise.cli.peopled import admin_keyring_of, auditor_of, keyring_of, pages_of, tokens_of
from equipoise.cli.reloading import Reloading, files_of, signature
from equipoise.cli.replicas import limits_over_hosts
from equipoise.cli.running import Running
from equipoise.cli.working import Worker
from equipoise.config import Config, ListenConfig
from equipoise.config.load import Loaded
from equipoise.config.save import plain
from equipoise.core.model import dollars
from equipoise.dashboard.recorder import Recorder
from equipoise.gateway import (
    ClientKeys,
    Gateway,
    alerting,
    backends,
    budgeting,
    canarying,
    configuring,
    costs,
    explaining,
    learning,
    purging,
    quality,
    run_gateway,
)
from equipoise.gateway.beside import Beside
from equipoise.gateway.idempotency import Keeping
from equipoise.gateway.keyring import Keyring
from equipoise.gateway.migrating import operations
from equipoise.gateway.people import People
from equipoise.gateway.together import Together
from equipoise.gateway.usage import usage_of
from equipoise.http import ServerLimits, TLSFiles
from equipoise.migration import Migration, from_config
from equipoise.migration.on_disk import file_check
from equipoise.stores import Ledger, StoreError
from equipoise.stores.ledger import LedgerHealth
from equipoise.stores.quality import Story, with_quality
from equipoise.stores.reuses import told_of
from equipoise.telemetry import AccessLog, set_up_logging
from equipoise.telemetry.crashes import watch_crashes
from equipoise.workers.limits import Limits

if TYPE_CHECKING:
    from equipoise.stores.redis_link import RedisLink

QUESTION = '{"model": "auto", "messages": [{"role": "user", "content": "What is clinical metabolomics?"}]}'
NO_METRICS = b"# metrics are switched off: enable_prometheus_metrics\n"
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (an address to show, not to listen on)


async def run(
    loaded: Loaded, flags: Mapping[str, Any], admit: Callable[[Config], None], worker: Worker | None = None
) -> int:
    """Serve until told to stop; returns the exit code. Raises Failure when it cannot begin.

    `flags` stay on top of every later configuration, and `admit` refuses those that must not be served. As a `worker` it
    shares a port with others and leaves the admin listener and what is said to people to the parent.
    """
    seen = signature(files_of(loaded))  # what changes from now on is news, however long it takes until somebody looks
    config = loaded.config
    logger = set_up_logging(config.log.level, config.log.format)
    watch_crashes(asyncio.get_running_loop(), logger)
    estate = estate_of(loaded, logger.error)
    migration = moving(loaded, estate, logger.error)
    canary = None if migration else watched(loaded.config, estate, lambda: running.loaded.config, logger.error)
    estate.balancer.background += provisioning_of(config)
    recorder = recorder_of(estate)
    log = access_log(config)
    if log is not None:
        estate.balancer.observers.append(log.observe)
    try:
        running = Running(loaded, estate, flags, admit)
        running.auditor = auditor_of(config, estate, lambda: running.loaded.config)
        shared = limits_over_hosts(estate, running) if worker is None else worker.join(estate, running)
        async with estate.balancer, Reloading(running, seen) if worker is None else worker.reloading(running, seen):
            cut = await _listen(loaded, estate, migration, running, canary, recorder, worker, shared)
        for change in running.unsaved() if worker is None or worker.member.leads else ():
            tell(f"lost, because never saved: {change}")
    finally:
        if log is not None:
            log.close()
    if worker is not None:
        worker.member.leave(cut)
    else:
        tell(stopped(cut))
    return 0


def settle_memory() -> None:
    """What stands before the first question stays: the collector of cycles, which stops everything for some 50 ms when
    it looks at all of it, need not look again."""
    gc.collect()
    gc.freeze()


def stopped(cut: int) -> str:
    """The last word."""
    return f"stopped{f'; {cut} answers were cut' if cut else ''}"


def access_log(config: Config) -> AccessLog | None:
    """One line a request, where ordinary lines are wanted."""
    wanted = config.log.access and config.log.level in ("debug", "info")
    return AccessLog(sys.stderr, style=config.log.format) if wanted else None


def moving(loaded: Loaded, estate: Estate, on_trouble: Callable[[str], None]) -> Migration | None:
    """The migration that is configured, if one is: it then answers in the estate's place. Raises Failure."""
    if loaded.config.migration is None:
        return None
    try:
        return from_config(loaded.config, estate, configuration=file_check(loaded), on_trouble=on_trouble)
    except (ValueError, OSError, ImportError, AttributeError, StoreError) as error:
        raise Failure(f"the old side of the migration cannot be had: {error}", USAGE) from error


def watched(
    config: Config, estate: Estate, control: Callable[[], Config], on_trouble: Callable[[str], None]
) -> Canary | None:
    """A place for a canary, whose control is what `control` gives; None, and a word, where its state cannot be kept."""
    try:
        return with_canary(config, estate, control, on_trouble)
    except StoreError as error:
        on_trouble(f"there can be no canary: {error}")
        return None


async def _listen(
    loaded: Loaded,
    estate: Estate,
    migration: Migration | None,
    running: Running,
    canary: Canary | None,
    recorder: Recorder,
    worker: Worker | None,
    shared: Limits | None,
) -> int:
    listen = loaded.config.listen
    tokens = tokens_of(loaded.config)
    keyring, operators = keyring_of(loaded.config, tokens), admin_keyring_of(loaded.config, tokens)
    people = People(operators.keys)
    operators.tell(people.accept)
    together = worker.member if worker is not None else None
    gateway = make_gateway(loaded.config, estate, migration, running, keyring, canary, people, recorder, together)
    gateway.allowances.elsewhere = shared
    if worker is not None:
        worker.serve(gateway)
    running.applied.append(lambda config: keyring.configure(callers_of(config)))
    running.applied.append(lambda config: operators.configure(operators_of(config)))
    await keyring.start()
    await operators.start()
    if tokens is not None:
        await tokens.start()
    settle_memory()
    try:
        return await run_gateway(
            gateway,
            host=listen.host,
            port=listen.port if worker is None else worker.port,
            admin_host=listen.admin_host,
            admin_port=listen.effective_admin_port,
            server=loaded.config.server,
            limits=limits(listen),
            tls=tls(listen),
            trusted_proxies=listen.trusted_proxies,
            notice_seconds=listen.drain_notice_seconds,
            drain_seconds=listen.drain_seconds,
            on_ready=worker.ready
            if worker is not None
            else lambda port, admin_port: announce(loaded, port, admin_port, keyed=keyring.keys is not None),
            reuse_port=worker is not None,
            with_admin=worker is None,
            stop=worker.stop if worker is not None else None,
        )
    except OSError as error:
        why = error.strerror or error
        hint = "--port and --admin-port choose others, 0 lets the system choose"
        raise Failure(f"cannot listen on {listen.host}:{listen.port}: {why}", USAGE, hint) from error
    finally:
        await keyring.close()
        await operators.close()
        if tokens is not None:
            await tokens.close()


def make_gateway(
    config: Config,
    estate: Estate,
    migration: Migration | None = None,
    running: Running | None = None,
    keyring: Keyring | None = None,
    canary: Canary | None = None,
    people: People | None = None,
    recorder: Recorder | None = None,
    together: Together | None = None,
) -> Gateway:
    """The gateway of an estate; without `running` its configuration stays as it is, without `keyring` its keys do."""
    ledger, metrics = estate.ledger, estate.metrics

    def now() -> Config:
        return running.loaded.config if running else config

    read_only = _read_only(config, running)
    admin_host, cache = config.listen.admin_host, cache_of(config, estate)
    who = people or People(ClientKeys(found) if (found := operators_of(config)) else None)
    gateway = Gateway(
        estate.balancer,
        beside=beside_of(estate),
        story=story_of(estate) if together is None else told_by_all(story_of(estate), together),
        metrics=metrics.render if metrics else lambda: NO_METRICS,
        ready=readiness(estate),
        keys=keyring.keys if keyring else client_keys(config),
        usage=usage_of(ledger, estate.reuses) if ledger else None,
        config_dump=running.document if running else lambda: {"config": plain(config, everything=True)},
        ledger_summary=bill(ledger) if ledger else None,
        admin_hosts=() if admin_host in EVERYWHERE else (admin_host,),
        operations={
            **operations(migration),
            **canarying.operations(Desk(canary, lambda: who.keyed) if canary else None),
            **explaining.operations(estate.balancer, cache),
            **alerting.operations(estate.alerts),
            **quality.operations(estate.balancer, estate.quality),
            **costs.operations(ledger, lambda: alternatives_of(now()), lambda: default_backend(now())),
            **budgeting.operations(estate.balancer, estate.leasing, read_only),
            **learning.operations(estate.balancer),
            **purging.operations(cache),
            **(configuring.operations(running) if running else {}),
        },
        steer=running.drain if running else None,
        weigh=running.weigh if running else None,
        configuration=running.health if running else None,
        people=who,
        auditor=running.auditor if running and running.auditor else auditor_of(config, estate, now),
        pages=pages_of(config),
        commands=backends.commands(Fleet(running)) if running else None,
        site=dashboard_of(estate, recorder, story_of(estate), read_only, lambda: gateway.health.draining, together),
        read_only=read_only,
        keeping=Keeping(config.idempotency.seconds, config.idempotency.max_bytes),
        cache=cache,
        reuses=told_of(ledger, estate.reuses) if ledger and estate.reuses else None,
        together=together,
        open_metrics=config.metrics.open,
    )
    if keyring is not None:
        keyring.tell(gateway.accept)
    estate.balancer.observers += [gateway.allowances.observe, cache.observe]
    return gateway


def story_of(estate: Estate) -> Story:
    """Where a request's attempts are looked up, with what their answers were worth."""
    if estate.ledger is None:
        return _no_story
    return estate.ledger.story if estate.quality is None else with_quality(estate.ledger.story, estate.quality)


def told_by_all(story: Story, together: Together) -> Story:
    """A question that another process answered a moment ago: it is asked to write what it still holds."""

    async def told(request_id: str) -> list[dict[str, Any]] | None:
        found = await story(request_id)
        if found:
            return found
        await together.settled()
        return await story(request_id)

    return told


def _read_only(config: Config, running: Running | None) -> Callable[[], bool]:
    return lambda: (running.loaded.config if running else config).read_only


def beside_of(estate: Estate) -> Beside | None:
    """Hooks, traces and what is kept of words, where there are any."""
    if estate.hooks is None and estate.tracing is None and estate.contents is None:
        return None
    return Beside(estate.hooks, estate.tracing.begin if estate.tracing else None, estate.contents)


async def _no_story(request_id: str) -> list[dict[str, Any]] | None:
    return None


def bill(ledger: Ledger) -> Callable[[], Awaitable[dict[str, Any]]]:
    """What everything recorded so far (all of it made durable first) cost, in all and for each backend."""

    async def summary() -> dict[str, Any]:
        await ledger.flush()
        rows = await ledger.summary()
        records = sum(row["attempts"] for row in rows)
        return {"cost_usd": dollars(await ledger.total_cost()), "records": records, "backends": rows}

    return summary


def readiness(estate: Estate) -> Callable[[], dict[str, str]]:
    """A word for each check: can the ledger be written, may any backend be asked, is Redis there?"""

    def checks() -> dict[str, str]:
        rows = [row for row in estate.balancer.status()["backends"] if row.get("has_traffic", True)]
        able = any(row["why_not"] is None for row in rows)
        found = {"backends": "ok" if able else "; ".join(f"{row['id']}: {row['why_not']}" for row in rows)}
        if estate.ledger is not None:
            health = estate.ledger.health()
            found["ledger"] = _word(health)
        return found if estate.link is None else {**found, "redis": reached(estate.link)}

    return checks


def reached(link: RedisLink) -> str:
    """A gateway that goes on without Redis is ready, and says so; one that is to fail closed is not."""
    health = link.health()
    if health.well:
        return "ok"
    since = f"without Redis for {max(0.0, time.time() - health.since):.0f} s ({health.error})"
    return since if link.options.fail_closed else f"ok, but {since}"


def _word(health: LedgerHealth) -> str:
    """Records that wait for a server are safe, and no reason to send questions elsewhere."""
    if not health.ok:
        return str(health.error)
    return "ok" if health.away is None else f"ok, but {health.queued} records wait on this machine: {health.away}"


def client_keys(config: Config) -> ClientKeys | None:
    """The keys of the configuration, as digests; None when it has none."""
    found = callers_of(config)
    return ClientKeys(found) if found else None


def limits(listen: ListenConfig) -> ServerLimits:
    """What one client may ask of the server."""
    return ServerLimits(
        body_bytes=listen.max_body_bytes,
        connections=listen.max_connections,
        header_timeout=listen.header_timeout_seconds,
        body_timeout=listen.body_timeout_seconds,
        idle_timeout=listen.idle_timeout_seconds,
    )


def tls(listen: ListenConfig) -> TLSFiles | None:
    """The listener's certificate, if it has one."""
    return None if listen.tls is None else TLSFiles(listen.tls.certificate, listen.tls.key, listen.tls.client_ca)


def announce(loaded: Loaded, port: int, admin_port: int, *, keyed: bool) -> None:
    """Say where everything is."""
    for line in announcement(loaded, port, admin_port, keyed=keyed):
        say(line)


def announcement(loaded: Loaded, port: int, admin_port: int, *, keyed: bool) -> list[str]:
    """The five lines printed when everything listens; the first holds the real address."""
    config, listen = loaded.config, loaded.config.listen
    url = f"{'https' if listen.tls else 'http'}://{shown_host(listen.host)}:{port}"
    key = " -H 'authorization: Bearer '$EQUIPOISE_API_KEY" if keyed else ""
    return [
        f"equipoise {equipoise.__version__} listens on {url}",
        f"  admin    http://{shown_host(listen.admin_host)}:{admin_port}/dashboard",
        f"  metrics  {url}/metrics",
        f"  config   {loaded.source}: {', '.join(config.backend_instances)}; {config.strategy.value}",
        f"  try      curl {url}/v1/chat/completions{key} -H 'content-type: application/json' -d '{QUESTION}'",
    ]


def shown_host(host: str) -> str:
    """The host of a URL that leads there."""
    return EVERYWHERE.get(host, f"[{host}]" if ":" in host else host)
