"""Somebody who follows the guide: one shell, commands in order, two of them left running in terminals of their own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from equipoise.config.environment import EVERY_NAME
from tests.wire.guide.blocks import ROOT, Block, Command, agrees, commands

PIPE, STDOUT = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
RUNNING_ON = {"equipoise sandbox": "equipoise sandbox --port-base 0", "equipoise serve": "equipoise serve --port 0"}
"""Commands that run until they are told to stop; ports are the system's choice here, the guide's there."""

ADMIN = "EQUIPOISE_ADMIN_URL=http://127.0.0.1:4001"
ADDRESS = re.compile(r"127\.0\.0\.1:(\d+)")
END = "end of command"
PATIENCE = 30.0


class Reader:
    """Runs what the guide shows, in `folder`; `ports` maps the guide's ports to those in use."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ports = folder, dict[str, str]()
        self._environ = _environment(folder)
        self._behind: list[asyncio.subprocess.Process] = []
        self._shell: asyncio.subprocess.Process

    async def begin(self) -> None:
        """Open the shell."""
        self._shell = await self._start("bash", "--noprofile", "--norc", stdin=PIPE, stdout=PIPE, stderr=STDOUT)

    async def end(self) -> None:
        """Stop what was left running, the latest first; each must stop as it should."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        await self._shell.wait()
        for process in reversed(self._behind):
            process.terminate()
        assert [await process.wait() for process in self._behind] == [0] * len(self._behind)

    async def follow(self, block: Block) -> None:
        """Do what a block says: save it, run it, or run its commands one by one."""
        if block.file is not None:
            (self.folder / block.file).write_text(self.here(block.text))
        elif block.language == "python":
            (self.folder / "example.py").write_text(self.here(block.text))
            await self._obeyed(Command("python example.py", "", block.line))
        elif block.language == "console":
            for command in commands(block):
                await self._obeyed(command)

    def here(self, text: str) -> str:
        """With the ports in use instead of the guide's."""
        return ADDRESS.sub(lambda found: f"127.0.0.1:{self.ports.get(found[1], found[1])}", text)

    async def run(self, text: str) -> tuple[int, str]:
        """One command in the shell: its exit status, and all it printed in the guide's ports."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{{ {self.here(text)}\n}} </dev/null\necho; echo {END} $?\n".encode())
        lines: list[str] = []
        while not (line := (await asyncio.wait_for(self._shell.stdout.readline(), PATIENCE)).decode()).startswith(END):
            assert line, f"the shell is gone: {text}"
            lines.append(line)
        return int(line.split()[-1]), self._as_printed("".join(lines).removesuffix("\n"))

    async def _obeyed(self, command: Command) -> None:
        where = f"line {command.line}: {command.text}"
        if command.text in RUNNING_ON:
            status, printed = 0, await self._left_running(command)
        else:
            status, printed = await self.run(command.text)
        assert status == 0, f"{where}\nended with {status}:\n{printed}"
        if command.printed:
            assert agrees(printed, command.printed), f"{where}\nprinted:\n{printed}\npromised:\n{command.printed}"

    async def _left_running(self, command: Command) -> str:
        """Start it, read as many lines as the guide shows, and learn from them which port stands for which."""
        arguments = RUNNING_ON[command.text].split()
        with (self.folder / "behind.log").open("ab") as log:
            process = await self._start(*arguments, stdout=PIPE, stderr=log)
        self._behind.append(process)
        assert process.stdout is not None
        promised = [line for line in command.printed.splitlines() if line != "…"]
        reading = [asyncio.wait_for(process.stdout.readline(), PATIENCE) for _ in promised]
        printed = [(await line).decode() for line in reading]
        for theirs, ours in zip(promised, printed, strict=True):
            self.ports |= dict(zip(ADDRESS.findall(theirs), ADDRESS.findall(ours), strict=True))
        await (self._quicken() if "sandbox" in command.text else self.run(f"export {ADMIN}"))
        return self._as_printed("".join(printed))

    async def _quicken(self) -> None:
        """Engines ten times as fast, so that following the guide takes half a minute."""
        for port in self.ports:
            await self.run(f"curl -s http://127.0.0.1:{port}/__faults -d '{{\"latency_factor\": 0.1}}'")

    def _as_printed(self, text: str) -> str:
        back = {ours: theirs for theirs, ours in self.ports.items()}
        return ADDRESS.sub(lambda found: f"127.0.0.1:{back.get(found[1], found[1])}", text)

    async def _start(self, *arguments: str, **options: object) -> asyncio.subprocess.Process:
        environ, folder = self._environ, self.folder
        return await asyncio.create_subprocess_exec(*arguments, cwd=folder, env=environ, **options)  # type: ignore[arg-type]


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of this machine's configuration, and the installation the guide begins with."""
    tools = folder / "bin"
    tools.mkdir()
    for name, arguments in (("python", ""), ("equipoise", "-m equipoise ")):
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments}"$@"\n')
        (tools / name).chmod(0o755)
    for name in ("deploy_production_load_balancer.py", "Makefile"):
        (folder / name).write_text((ROOT / name).read_text())
    kept = {name: value for name, value in os.environ.items() if name not in EVERY_NAME}
    kept = {name: value for name, value in kept.items() if not name.startswith("EQUIPOISE_")}
    paths = {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "home")}
    return kept | paths | {"NO_COLOR": "1"}
