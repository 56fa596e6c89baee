"""A real headless Chromium, spoken to by its DevTools protocol over a web socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.end_to_end.http.servers import command

FLAGS = (
    "--headless=new", "--remote-debugging-port=0", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--force-device-scale-factor=1",
    "--no-proxy-server",
)  # fmt: skip
PATIENCE = 30.0
LONGEST_MESSAGE = 64 * 1024 * 1024


class Tab:
    """One page. `troubles` is what it complained of: console errors, exceptions, refused or failed resources;
    `asked` what it wanted confirmed, which is confirmed."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()
        self._session: str | None = None
        self.troubles: list[str] = []
        self.asked: list[str] = []
        self._answers: set[asyncio.Task[Any]] = set()
        self._reader = asyncio.create_task(self._read())

    async def open(self) -> None:
        """Take a new target and listen to it."""
        target = await self.send("Target.createTarget", url="about:blank")
        attached = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")

    async def close(self) -> None:
        """Stop listening."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def send(self, method: str, **parameters: Any) -> Any:
        """One command's result."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(message | ({"sessionId": self._session} if self._session else {}))
        async with asyncio.timeout(PATIENCE):
            return await self._waiting[number]

    async def go(self, url: str) -> None:
        """Load an address to its end."""
        self._loaded.clear()
        await self.send("Page.navigate", url=url)
        await self.loaded()

    def expect_load(self) -> None:
        """Something is about to lead to another page."""
        self._loaded.clear()

    async def loaded(self) -> None:
        """Until the load that was begun is over."""
        async with asyncio.timeout(PATIENCE):
            await self._loaded.wait()
        await asyncio.sleep(0.1)

    async def evaluate(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        found = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"])
        return found["result"].get("value")

    async def press(self, script: str) -> None:
        """Do something that leads to another page, and wait for that."""
        self._loaded.clear()
        await self.evaluate(script)
        await self.loaded()

    async def look(self, *, width: int = 1280, height: int = 860, dark: bool = False, phone: bool = False) -> None:
        """Be a screen of this size, with this taste."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.send("Emulation.setEmulatedMedia", features=scheme)

    async def key(self, key: str) -> None:
        """One key, pressed and let go."""
        for kind in ("keyDown", "keyUp"):
            await self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" and len(key) == 1 else ""
            )

    async def picture(self, path: Path, *, most: int = 2400) -> None:
        """The whole page as a PNG, as far as that."""
        size = (await self.send("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(most, size["height"]), "scale": 1}
        found = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(found["data"]))

    async def _read(self) -> None:
        async for message in self._socket:
            self._heard(json.loads(message.data))

    def _heard(self, message: dict[str, Any]) -> None:
        if "id" in message:
            waiting = self._waiting.pop(message["id"])
            if not waiting.done():
                waiting.set_exception(AssertionError(message["error"])) if "error" in message else waiting.set_result(
                    message["result"]
                )
            return
        of = message.get("params", {})
        match message["method"]:
            case "Page.javascriptDialogOpening":
                self.asked.append(of["message"])
                self._answers.add(asyncio.create_task(self.send("Page.handleJavaScriptDialog", accept=True)))
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.consoleAPICalled" if of["type"] in ("error", "warning", "assert"):
                self.troubles.append(str([argument.get("value") for argument in of["args"]]))
            case "Runtime.exceptionThrown":
                self.troubles.append(str(of["exceptionDetails"]))
            case "Log.entryAdded" if of["entry"]["level"] in ("error", "warning"):
                self.troubles.append(f"{of['entry']['text']} {of['entry'].get('url', '')}")


@contextlib.asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Tab]:
    """A browser with a profile in this folder, and one page of it."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [command("chromium"), *FLAGS, *sandbox, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            stdout=log,
            stderr=log,
        )
    try:
        port, path = await _address(process, folder)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=LONGEST_MESSAGE) as socket,
        ):
            tab = Tab(socket)
            await tab.open()
            yield tab
            await tab.close()
    finally:
        process.terminate()
        process.wait(20)


async def _address(process: subprocess.Popen[bytes], folder: Path) -> tuple[str, str]:
    """Where it says that it listens."""
    told = folder / "profile" / "DevToolsActivePort"
    for _ in range(600):
        if told.exists() and len(lines := told.read_text().split()) == 2:
            return lines[0], lines[1]
        if process.poll() is not None:
            raise AssertionError(
                f"Chromium ended with {process.returncode}: {(folder / 'chromium.log').read_text()[-2000:]}"
            )
        await asyncio.sleep(0.05)
    raise AssertionError("Chromium did not listen")
