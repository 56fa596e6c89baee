"""Every page in a real Chromium, while questions are being answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from equipoise.core.events import AttemptEnded, BackendChanged
from equipoise.dashboard.pages import PAGES
from equipoise.sandbox import Faults
from tests.end_to_end.dashboard.axe import complaints
from tests.end_to_end.dashboard.browser import Tab, chromium
from tests.end_to_end.dashboard.pictures import log_in
from tests.shell.stores.attempts import attempt
from tests.wire.dashboard.house import KEY, House

pytestmark = pytest.mark.end_to_end
EVIL = "<script>window.ran = 1</script>\"'><img src=/none onerror=window.ran=1>"
ASKED = {"model": "auto", "messages": [{"role": "user", "content": "What is lactate?"}]}
PATHS = ["/dashboard", *(f"/dashboard/{page.name}" for page in PAGES if page.name)]
CANDIDATE = "strategy: cost_optimized\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    it = House(
        tmp_path / "state",
        strategy="adaptive_learning",
        budgets={"daily": {"usd": 5}, "questions": {"requests": 9000}},
        quality_sampling_rate=1.0,
    )
    await it.start()
    asking = asyncio.create_task(ask(it))
    yield it
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await it.stop()


async def ask(house: House) -> None:
    """Some twenty questions a second, some at a broken backend."""
    for number in range(100_000):
        name = list(house.backends)[number % 3]
        house.backends[name].set_faults(Faults(error_rate=1.0) if number % 9 == 0 else Faults())
        response = await house.post(
            "/v1/chat/completions", ASKED | {"stream": number % 2 == 0, "model": "auto" if number % 3 else name}
        )
        with contextlib.suppress(OSError):
            await response.read()
        await asyncio.sleep(0.05)


@pytest.fixture
async def tab(house: House, tmp_path: Path) -> AsyncIterator[Tab]:
    async with chromium(tmp_path) as it:
        await log_in(it, address(house), KEY)
        yield it


def address(house: House) -> str:
    return f"http://127.0.0.1:{house._servers[1].port}"


def tell(house: House) -> None:
    """A breaker that opened, and a request of somebody who would like to be markup."""
    balancer = house.estate.balancer
    wall = balancer.selection.clock.wall()
    for state, before in (("open", 200.0), ("half_open", 100.0), ("closed", 50.0)):
        balancer.tell(BackendChanged("web_search", state, f"because {EVIL}", wall - before))
    balancer.tell(
        AttemptEnded(attempt(EVIL, tenant=EVIL, model=EVIL, backend_id=EVIL, error=EVIL, tags=(EVIL,), wall=wall))
    )


@pytest.mark.parametrize(
    "how", [{}, {"dark": True}, {"phone": True, "width": 390, "height": 844}], ids=["light", "dark", "phone"]
)
async def test_every_page_is_sound(house: House, tab: Tab, how: dict[str, bool | int]) -> None:
    """No error in the console, nothing for axe to complain of, no script of a stranger, nothing wider than the screen."""
    tell(house)
    await asyncio.sleep(1.0)
    await tab.look(**how)  # type: ignore[arg-type]
    stories = [
        f"/dashboard/requests/{quote(EVIL, safe='')}",
        "/dashboard?backend=web_search&range=15m",
        "/dashboard/nothing-here",
    ]
    found: dict[str, list[str]] = {}
    for path in [*PATHS, *stories]:
        tab.troubles.clear()
        await tab.go(address(house) + path)
        wide = await tab.evaluate("document.documentElement.scrollWidth > innerWidth + 1")
        ran = await tab.evaluate("typeof window.ran !== 'undefined'")
        troubles = [trouble for trouble in tab.troubles if "404" not in trouble or "nothing-here" not in path]
        wrong = [
            *troubles,
            *await complaints(tab),
            *(["too wide"] if wide else []),
            *(["a stranger's script ran"] if ran else []),
        ]
        if wrong:
            found[path] = wrong
    assert found == {}


async def test_nobody_is_needed_but_the_gateway(house: House, tab: Tab) -> None:
    """All that a page loads comes from its own address."""
    await tab.go(address(house) + "/dashboard")
    loaded = await tab.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded
    assert all(name.startswith(address(house)) for name in loaded)


async def test_the_page_looks_again_by_itself(house: House, tab: Tab) -> None:
    """The numbers move without a click; paused they stay."""
    await tab.go(address(house) + "/dashboard")
    before = await tab.evaluate("document.getElementById('as-of').textContent")
    await asyncio.sleep(7)
    after = await tab.evaluate("document.getElementById('as-of').textContent")
    assert after != before
    await tab.key("r")
    assert await tab.evaluate("document.getElementById('again').textContent") == "Resume"
    await asyncio.sleep(6)
    assert await tab.evaluate("document.getElementById('as-of').textContent") == after
    assert tab.troubles == []


async def test_keys_lead_everywhere(house: House, tab: Tab) -> None:
    """/ to the filters, ? to the help, g b to the backends, tab to the content."""
    await tab.go(address(house) + "/dashboard")
    await tab.key("?")
    assert await tab.evaluate("document.getElementById('keys').open")
    await tab.evaluate("document.getElementById('keys').close()")
    await tab.key("/")
    assert await tab.evaluate("document.activeElement.closest('form').className") == "filters"
    await tab.evaluate("document.activeElement.blur()")
    tab.expect_load()
    await tab.key("g")
    await tab.key("b")
    await tab.loaded()
    assert (await tab.evaluate("location.pathname")) == "/dashboard/backends"
    assert await tab.evaluate("document.querySelector('a').className") == "skip"


async def test_a_backend_is_drained_by_a_click(house: House, tab: Tab) -> None:
    """The browser asks whether it is meant, the form is taken, the row says drained."""
    await tab.go(address(house) + "/dashboard/backends")
    await tab.press("document.querySelector('button[aria-label=\"Drain web_search\"]').click()")
    assert "drained" in await tab.evaluate("document.querySelector('#main table').innerText")
    assert tab.asked == ["Drain web_search?"]
    rows = {row["id"]: row["draining"] for row in house.estate.balancer.status()["backends"]}
    assert rows["web_search"]
    await tab.press("document.querySelector('button[aria-label=\"Resume web_search\"]').click()")
    assert not any(row["draining"] for row in house.estate.balancer.status()["backends"])
    assert tab.troubles == []


async def test_it_works_without_scripts(house: House, tab: Tab) -> None:
    """Pages, filters, orders and logging out."""
    await tab.send("Emulation.setScriptExecutionDisabled", value=True)
    await tab.go(address(house) + "/dashboard/requests")
    await tab.press("document.querySelector('.filters button').click()")
    assert await tab.evaluate("document.querySelectorAll('tbody tr').length") > 0
    await tab.press("[...document.querySelectorAll('button')].find(button => button.textContent === 'Log out').click()")
    assert await tab.evaluate("document.querySelector('input[name=key]') !== null")
