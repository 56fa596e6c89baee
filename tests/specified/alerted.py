"""What can be observed to change with the fields of alerts: whoever is named is told that the only backend is away."""

from __future__ import annotations

import asyncio
from typing import Any

from aiosmtpd.smtp import SMTP

from equipoise.build.metrics import provisioning_of
from equipoise.http import Request, Response, Server
from lightrag_integration._translation import to_equipoise

PATIENCE = 200


async def told(bench: Any, arrived: list[Any], **fields: Any) -> bool:
    """Is anybody told within two seconds? With nobody named there is nothing to wait for."""
    extra = {"alerts": {"interval_seconds": 0.02, "email": fields.pop("email", {})}}
    it = bench.balance(bench.nowhere(failure_threshold=1), extra=extra, enable_real_time_monitoring=False, **fields)
    await it.start_monitoring()
    await it.send_query("a", "hello")
    for _ in range(PATIENCE if fields else 20):
        if arrived:
            break
        await asyncio.sleep(0.01)
    await it.stop_monitoring()
    return bool(arrived)


async def of_alert_webhook_url(bench: Any) -> tuple[bool, bool]:
    """Posted there, or nowhere."""
    arrived: list[Any] = []

    async def take(request: Request) -> Response:
        arrived.append(request)
        return Response(204, ())

    server = Server(take)
    await server.start("127.0.0.1", 0)
    without = await told(bench, arrived)
    named = await told(bench, arrived, alert_webhook_url=f"http://127.0.0.1:{server.port}/")
    await server.drain(0.0)
    return named, without


async def of_alert_email_recipients(bench: Any) -> tuple[bool, bool]:
    """Mailed to somebody, or to nobody."""
    arrived: list[Any] = []

    class Inbox:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
            arrived.append(envelope)
            return "250 OK"

    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Inbox()), "127.0.0.1", 0)
    email = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
    without = await told(bench, arrived, email=email)
    named = await told(bench, arrived, email=email, alert_email_recipients=["oncall@example.org"])
    server.close()
    return named, without


async def of_enable_grafana_dashboards(bench: Any) -> tuple[int, int]:
    """Put into the Grafana that is named, or not. The switch is that of `serve`: a balancer by itself puts nothing there."""
    arrived: list[Any] = []

    async def take(request: Request) -> Response:
        arrived.append(request)
        return Response(200, (), b'{"url": "/d/x"}')

    server = Server(take)
    await server.start("127.0.0.1", 0)
    counts = []
    for on in (True, False):
        it = bench.balance(
            bench.nowhere(),
            enable_grafana_dashboards=on,
            extra={"grafana": {"api_url": f"http://127.0.0.1:{server.port}"}},
        )
        arrived.clear()
        for background in provisioning_of(to_equipoise(it.config)):
            await background.start()
            for _ in range(PATIENCE):
                await asyncio.sleep(0.01 if len(arrived) < 5 else 0)
            await background.close()
        counts.append(len(arrived))
    await server.drain(0.0)
    return counts[0], counts[1]


CHECKS = {
    "alert_webhook_url": of_alert_webhook_url,
    "alert_email_recipients": of_alert_email_recipients,
    "enable_grafana_dashboards": of_enable_grafana_dashboards,
}
