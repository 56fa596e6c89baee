"""A sandbox backend as a child process: it says where it is and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import sys

from equipoise.http import Pool


async def test_a_child_tells_its_port_and_ends_with_its_parents_pipe() -> None:
    """One line of JSON; the end of standard input is the end of the process."""
    command = (
        sys.executable,
        "-m",
        "equipoise.sandbox",
        "general_llm",
        "--faults",
        '{"probes": true, "error_rate": 1}',
    )
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    child = await asyncio.create_subprocess_exec(*command, **pipes)
    assert child.stdin is not None
    assert child.stdout is not None
    about = json.loads(await child.stdout.readline())
    assert (about["name"], about["kind"], about["pid"]) == ("general_llm", "openai", child.pid)
    pool = Pool(about["url"])
    response = await pool.request("GET", "/v1/models")
    assert response.status == 500
    await response.read()
    await pool.close()
    child.stdin.close()
    assert await child.wait() == 0
