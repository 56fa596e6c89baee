"""What is ordered on the dashboard's pages of the canary and of alerts: each button, for whom it is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.wire.dashboard.house import KEY, Answer, House, Visitor, visiting

CANDIDATE = {"candidate": "strategy: health_aware\n", "name": "new.yaml", "at": 5}


async def start_a_canary(visitor: Visitor) -> None:
    body = json.dumps(CANDIDATE).encode()
    answer = await visitor._sent("POST", "/admin/canary/start", body, {"authorization": f"Bearer {KEY}"})
    assert answer.status == 200, answer.text


def buttons(page: Answer) -> set[str]:
    """What may be ordered there."""
    return {part.partition('"')[0] for part in page.text.split('action="/dashboard/do/')[1:]}


async def test_a_canary_is_led_by_its_page(house: House, visitor: Visitor) -> None:
    """Each button there is does what it says, by name in the journal; on each stage those that make sense on it."""
    await visitor.log_in()
    assert buttons(await visitor.get("/dashboard/canary")) == set()
    await start_a_canary(visitor)
    running = {f"canary-{word}" for word in ("promote", "promote-full", "pause", "abort", "undo", "set-weight")}
    assert buttons(await visitor.get("/dashboard/canary")) == running

    async def order(action: str, **more: str) -> tuple[str, float]:
        page = await visitor.get("/dashboard/canary")
        answer = await visitor.post(f"/dashboard/do/canary-{action}", {"proof": page.proof, **more})
        assert (answer.status, answer.headers["location"]) == (303, "/dashboard/canary")
        (now,) = json.loads((await visitor.get("/dashboard/tables/standing.json")).body)["rows"]
        return now["stage"], now["share"]

    assert await order("promote") == ("running", 10.0)
    assert await order("pause") == ("paused", 10.0)
    assert buttons(await visitor.get("/dashboard/canary")) == (running | {"canary-resume"}) - {"canary-pause"}
    assert await order("resume") == ("running", 10.0)
    assert await order("set-weight", weight="12.5") == ("running", 12.5)
    assert await order("undo") == ("paused", 10.0)
    assert await order("promote-full") == ("promoted", 100.0)
    assert buttons(await visitor.get("/dashboard/canary")) == {"canary-abort", "canary-undo"}
    assert await order("abort") == ("ended", 0.0)
    assert buttons(await visitor.get("/dashboard/canary")) == set()
    journal = json.loads((await visitor.get("/dashboard/tables/journal.json")).body)["rows"]
    assert [entry["who"] for entry in journal[:7]] == ["admin"] * 7


async def test_an_operator_has_the_buttons_that_take_risk_away(tmp_path: Path) -> None:
    """Pause and abort; those of an admin are not shown to him, and refused when he sends them all the same."""
    operating = "a-key-that-may-operate"
    house = House(tmp_path, admin_keys={"ann": {"key": operating, "role": "operate"}})
    await house.start()
    try:
        await start_a_canary(visiting(house))
        visitor = visiting(house)
        await visitor.log_in(operating)
        page = await visitor.get("/dashboard/canary")
        assert buttons(page) == {"canary-pause", "canary-abort"}
        for action in ("canary-promote", "canary-promote-full", "canary-undo", "canary-set-weight"):
            said = {"proof": page.proof, "weight": "50"}
            assert (await visitor.post(f"/dashboard/do/{action}", said)).status == 403, action
        assert (await visitor.post("/dashboard/do/canary-abort", {"proof": page.proof})).status == 303
        (now,) = json.loads((await visitor.get("/dashboard/tables/standing.json")).body)["rows"]
        assert now["stage"] == "ended"
    finally:
        await house.stop()


async def test_an_alert_is_looked_after_from_its_page(tmp_path: Path) -> None:
    """By whoever pressed the button; then his name stands there, and the button is gone. A test notice goes out."""
    house = House(tmp_path, enable_real_time_monitoring=True, alerts={"interval_seconds": 0.05}, log={"level": "error"})
    await house.start()
    try:
        visitor = visiting(house)
        await visitor.log_in()
        page = await visitor.get("/dashboard/backends")
        await visitor.post("/dashboard/do/open", {"proof": page.proof, "target": "web_search"})
        async with asyncio.timeout(20):
            while "ack" not in buttons(page := await visitor.get("/dashboard/reliability")):
                await asyncio.sleep(0.05)
        rows = json.loads((await visitor.get("/dashboard/tables/alerts.json")).body)["rows"]
        for alert in rows:
            answer = await visitor.post("/dashboard/do/ack", {"proof": page.proof, "target": alert["id"]})
            assert (answer.status, answer.headers["location"]) == (303, "/dashboard/reliability")
        rows = json.loads((await visitor.get("/dashboard/tables/alerts.json")).body)["rows"]
        assert {alert["acknowledged_by"] for alert in rows} == {"admin"}
        page = await visitor.get("/dashboard/reliability")
        assert buttons(page) == {"test-notice"}
        assert (await visitor.post("/dashboard/do/test-notice", {"proof": page.proof})).status == 303
        assert (await visitor.post("/dashboard/do/ack", {"proof": page.proof, "target": "nothing"})).status == 404
    finally:
        await house.stop()
