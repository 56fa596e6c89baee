"""The same bytes to our server, to nginx and to haproxy: the same verdict, or a difference that ADR 0003 justifies."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

from equipoise.http import Request, Response
from tests.end_to_end.http.servers import haproxy, nginx, running
from tests.wire.http.framing_cases import CASES, GOOD, verdicts
from tests.wire.http.harness import own_server, upstream

DECISIONS = Path(__file__).parents[3] / "docs" / "adr" / "0003-framing-verdicts.md"
Verdicts = dict[str, str]


async def accept(request: Request) -> Response:
    return Response(200)


async def lenient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server behind a proxy: takes whatever the proxy lets through, whole, and says 200."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = re.search(rb"\r\ncontent-length: *([0-9]+)", head)
    if b"\r\ntransfer-encoding:" in head:
        while (size := int((await reader.readuntil(b"\n")).partition(b";")[0], 16)) > 0:
            await reader.readexactly(size + 2)
        while await reader.readuntil(b"\n") != b"\r\n":
            pass
    elif length is not None:
        await reader.readexactly(int(length[1]))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


@contextlib.asynccontextmanager
async def proxies(folder: Path) -> AsyncIterator[tuple[int, int]]:
    """Ports of an nginx and an haproxy in front of a lenient server."""
    for name in ("nginx", "haproxy"):
        (folder / name).mkdir()
    async with upstream(lenient) as origin:
        block = f"listen 127.0.0.1:PORT; location / {{ proxy_pass {origin}; proxy_http_version 1.1; }}"
        nginx_command, nginx_port = nginx(folder / "nginx", block)
        haproxy_command, haproxy_port = haproxy(folder / "haproxy", int(origin.rsplit(":", 1)[1]))
        async with (
            running(nginx_command, nginx_port, folder / "nginx"),
            running(haproxy_command, haproxy_port, folder / "haproxy"),
        ):
            yield nginx_port, haproxy_port


async def ask_all(folder: Path) -> tuple[Verdicts, Verdicts, Verdicts]:
    """What the three say to every case."""
    async with own_server(accept) as server, proxies(folder) as (nginx_port, haproxy_port):
        return await verdicts(server.port), await verdicts(nginx_port), await verdicts(haproxy_port)


def justified() -> dict[str, tuple[str, str, str]]:
    """The rows of the decision's table: case, and the verdicts of our server, nginx and haproxy."""
    word = r" (accept|refuse|wait|either) \|"
    rows = re.findall(rf"^\| ([^|]+) \|{word}{word}{word} [^|]{{20,}} \|$", DECISIONS.read_text(), re.MULTILINE)
    return {case.strip(): (own, first, second) for case, own, first, second in rows}


async def test_differences_to_nginx_and_haproxy_are_those_that_are_justified(tmp_path: Path) -> None:
    """Every difference has a reason in the decision, and none is there that has gone.

    `either` stands for haproxy's verdict where it depends on how far it had forwarded before it saw the fault.
    """
    measured = zip(*(said.items() for said in await ask_all(tmp_path)), strict=True)
    known = justified()
    for (case, own), (_, first), (_, second) in measured:
        expected = known.pop(case, (own, own, own))
        assert (own, first) == expected[:2], case
        assert expected[2] in {second, "either"}, case
    assert not known


async def test_we_accept_nothing_that_both_others_refuse(tmp_path: Path) -> None:
    """Strictness is on our side alone."""
    own, first, second = await ask_all(tmp_path)
    assert not [
        case for case in CASES if own[case] == "accept" and first[case] != "accept" and second[case] != "accept"
    ]
    assert [case for case in CASES if own[case] == "accept"] == list(GOOD)
