"""Upstreams that misbehave, hide behind proxies, compress, or live at several addresses."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
import zlib
from pathlib import Path

import pytest

from equipoise.http import BodyTooLarge, HTTPError, Pool, Timeouts, client_context
from equipoise.http.dial import Address, Dialer, Route, connect_first, interleave
from equipoise.http.environment import proxy_for
from tests.wire.http.certificates import Authority
from tests.wire.http.harness import answering, own_server, read_request, until, upstream

OK = b"HTTP/1.1 200 OK\r\n"
CODED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    "nonsense": b"\x16\x03\x01 hello\r\n\r\n",
    "a length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "a signed length": OK + b"Content-Length: +2\r\n\r\nok",
    "a coding nobody asked for": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "an unknown coding": OK + b"Transfer-Encoding: xchunked\r\n\r\nok",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a folded field": OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "a space before the colon": OK + b"Content-Length : 2\r\n\r\nok",
    "NUL in a value": OK + b"X: \0\r\nContent-Length: 2\r\n\r\nok",
    "a bad chunk size": CODED + b"0x2\r\nok\r\n0\r\n\r\n",
    "a negative chunk size": CODED + b"-2\r\nok\r\n0\r\n\r\n",
    "a chunk beyond its size": CODED + b"2\r\nokay\r\n0\r\n\r\n",
    "an overflowing chunk size": CODED + b"FFFFFFFFFFFFFFFFF\r\nok\r\n0\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nok",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "a head without end": OK + b"X: " + b"y" * 200_000,
    "endless informational responses": b"HTTP/1.1 102 Processing\r\n\r\n" * 9_000,
    "a trailer without end": CODED + b"0\r\nX: " + b"y" * 200_000,
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_malformed_response_is_an_error_and_costs_its_connection(case: str) -> None:
    """Never a half-truth, never a connection used again."""
    async with upstream(answering(BROKEN[case])) as origin:
        pool = Pool(origin)
        with pytest.raises(HTTPError) as caught:
            await (await pool.request("GET", "/", timeouts=Timeouts(first_byte=2.0, between_bytes=2.0))).read()
        assert (caught.value.phase, caught.value.timed_out, caught.value.maybe_processed) == ("read", False, True)
        assert await until(lambda: pool.in_use == pool.idle == 0)


@pytest.mark.parametrize(
    ("sent", "phase"),
    [
        (b"", "wait"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "read"),
        (OK + b"Content-Length: 9\r\n\r\nok", "read"),
        (CODED + b"2\r\nok\r\n", "read"),
        (CODED + b"2\r\nok\r\n0\r\n", "read"),
    ],
)
async def test_a_response_that_breaks_off_says_so(sent: bytes, phase: str) -> None:
    """A truncated body is never taken for a whole one."""

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sent)

    async with upstream(break_off) as origin:
        pool = Pool(origin)
        with pytest.raises(HTTPError) as caught:
            await (await pool.request("POST", "/")).read()
        assert (caught.value.phase, caught.value.maybe_processed) == (phase, True)


@pytest.mark.parametrize(
    "behind", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"\0", b"HTTP/1.1 400 Bad\r\n\r\n"]
)
async def test_bytes_behind_a_response_never_answer_the_next_request(behind: bytes) -> None:
    """The response that was asked for is good; its connection is not used again."""
    async with upstream(answering(OK + b"Content-Length: 2\r\n\r\nok" + behind)) as origin:
        pool = Pool(origin)
        for _ in range(2):
            assert await (await pool.request("GET", "/")).read() == b"ok"
            assert pool.idle == 0
        await pool.close()


async def test_bytes_that_nobody_asked_for_close_an_idle_connection() -> None:
    """A late or invented response cannot wait for the next request."""

    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + b"Content-Length: 2\r\n\r\nok")
        await asyncio.sleep(0.05)
        writer.write(OK + b"Content-Length: 4\r\n\r\nevil")
        await reader.read()

    async with upstream(chatter) as origin:
        pool = Pool(origin)
        assert await (await pool.request("GET", "/")).read() == b"ok"
        assert pool.idle == 1
        assert await until(lambda: pool.idle == 0)


async def test_informational_responses_are_passed_over() -> None:
    """100 and 103 come before the answer and leave nothing behind."""
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    async with upstream(
        answering(hints + OK + b"Content-Length: 2\r\n\r\nok", OK + b"Content-Length: 0\r\n\r\n")
    ) as origin:
        pool = Pool(origin)
        response = await pool.request("GET", "/")
        assert (response.status, response.headers) == (200, {b"content-length": b"2"})
        assert await response.read() == b"ok"
        assert await (await pool.request("GET", "/")).read() == b""
        await pool.close()


async def test_responses_without_body_leave_the_connection_usable() -> None:
    """HEAD, 204 and 304, whatever length they claim."""
    answers = (
        OK + b"Content-Length: 9\r\n\r\n",
        b"HTTP/1.1 204 No\r\n\r\n",
        b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n",
    )
    async with upstream(answering(*answers)) as origin:
        pool = Pool(origin)
        for method in ("HEAD", "GET", "GET"):
            assert await (await pool.request(method, "/")).read() == b""
            assert pool.idle == 1
        await pool.close()


async def test_a_slow_reader_pauses_its_upstream() -> None:
    """What is not read stays with the upstream."""
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(OK + b"\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async with upstream(pour) as origin:
        pool = Pool(origin)
        response = await pool.request("GET", "/", timeouts=Timeouts(between_bytes=0.1))
        await asyncio.sleep(0.3)
        assert sent < 16_000_000
        assert await anext(response)
        response.close()
        response.close()
        assert await until(lambda: pool.in_use == 0)


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_decompression_happens_only_if_asked_for(coding: str, compress: object) -> None:
    """Without it the bytes are passed on as they came."""
    assert callable(compress)
    packed = compress(b"text " * 1_000)
    answer = OK + f"Content-Encoding: {coding}\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed
    asked: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            asked.append(await read_request(reader))
            writer.write(answer)
        await reader.read()

    async with upstream(behave) as origin:
        pool = Pool(origin)
        assert await (await pool.request("GET", "/")).read() == packed
        assert await (await pool.request("GET", "/", decompress=True)).read() == b"text " * 1_000
        assert [b"accept-encoding: gzip, deflate" in head for head in asked] == [False, True]
        assert pool.idle == 1
        await pool.close()


async def test_a_compression_bomb_is_bounded() -> None:
    """A few kilobytes that would become megabytes stop at the limit, piece by piece."""
    bomb = gzip.compress(b"\0" * 20_000_000)
    answer = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    async with upstream(answering(answer, answer)) as origin:
        pool = Pool(origin)
        with pytest.raises(BodyTooLarge):
            await (await pool.request("GET", "/", decompress=True)).read(1_000_000)
        async for piece in await pool.request("GET", "/", decompress=True):
            assert len(piece) <= 65_536
        torn = OK + b"Content-Encoding: gzip\r\nContent-Length: 50\r\n\r\n" + bomb[:50]
    async with upstream(answering(torn)) as origin:
        with pytest.raises(HTTPError, match="ends early"):
            await (await Pool(origin).request("GET", "/", decompress=True)).read()


async def test_a_plain_proxy_is_asked_in_absolute_form() -> None:
    """With its credentials, which appear nowhere else."""
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_request(reader))
        writer.write(OK + b"Content-Length: 2\r\n\r\nok")
        await reader.read()

    async with upstream(proxy) as origin:
        pool = Pool("http://upstream.example:81", proxy=origin.replace("//", "//user:pass%20word@"))
        assert await (await pool.request("GET", "/x?y")).read() == b"ok"
        await pool.close()
    credentials = base64.b64encode(b"user:pass word")
    assert asked[0].startswith(b"GET http://upstream.example:81/x?y HTTP/1.1\r\nhost: upstream.example:81\r\n")
    assert b"proxy-authorization: Basic " + credentials in asked[0]
    assert "user" not in repr(pool._route)


async def test_https_goes_through_a_tunnel(tmp_path: Path) -> None:
    """CONNECT names the upstream; TLS is spoken with the upstream, not the proxy."""
    authority = Authority(tmp_path)
    asked: list[bytes] = []

    async with own_server(tls=authority.issue("localhost")) as server:

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.wait(
                [asyncio.ensure_future(pump(reader, far_writer)), asyncio.ensure_future(pump(far_reader, writer))]
            )

        async with upstream(proxy) as origin:
            pool = Pool(f"https://localhost:{server.port}", tls=client_context(authority.certificate), proxy=origin)
            assert await (await pool.request("POST", "/", body=b"secret")).read() == b"POST /? 6 secret"
            await pool.close()
            assert asked[0].startswith(f"CONNECT localhost:{server.port} HTTP/1.1\r\n".encode())


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes from here to there until the end."""
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def test_a_proxy_that_refuses_is_an_error_of_the_connection() -> None:
    """Nothing of the request was seen by the upstream."""
    async with upstream(answering(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")) as origin:
        with pytest.raises(HTTPError, match="407") as caught:
            await Pool("https://upstream.example", proxy=origin).request("GET", "/")
    assert (caught.value.phase, caught.value.maybe_processed) == ("connect", False)


@pytest.mark.parametrize(
    ("host", "no_proxy", "proxied"),
    [
        ("api.example.com", "", True),
        ("api.example.com", "example.com", False),
        ("api.example.com", ".example.com", False),
        ("notexample.com", "example.com", True),
        ("api.example.com", "example.com:80", True),
        ("api.example.com", "a.org, example.com:443", False),
        ("10.1.2.3", "10.0.0.0/8", False),
        ("11.1.2.3", "10.0.0.0/8", True),
        ("anything", "*", False),
        ("localhost", "", False),
        ("127.0.0.9", "", False),
        ("::1", "", False),
    ],
)
def test_the_environment_says_who_is_proxied(host: str, no_proxy: str, proxied: bool) -> None:
    """As curl and Go read it; loopback never."""
    environment = {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": no_proxy}
    assert proxy_for("https", host, 443, environment) == ("http://proxy:3128" if proxied else "")


def test_families_take_turns() -> None:
    """One broken family costs one attempt."""
    six, four = socket.AF_INET6, socket.AF_INET
    addresses = [(six, ("a",)), (six, ("b",)), (four, ("c",)), (six, ("d",))]
    assert [where for _, (where,) in interleave(addresses)] == ["a", "c", "b", "d"]


async def test_an_address_that_does_not_answer_is_passed_over() -> None:
    """The next joins at once after a failure and soon after silence."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    async with own_server() as server:
        waiting = [socket.socket() for _ in range(3)]
        for filler in waiting:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        refused = ("127.0.0.1", 1)
        good = ("127.0.0.1", server.port)
        for first in (full.getsockname(), refused):
            connected = await connect_first([(socket.AF_INET, first), (socket.AF_INET, good)])
            assert connected.getpeername() == good
            connected.close()
        for filler in (*waiting, full):
            filler.close()


@pytest.mark.parametrize(("refresh", "times"), [(0.0, 3), (60.0, 1)])
async def test_names_are_looked_up_again(refresh: float, times: int) -> None:
    """After `refresh` seconds; and if the resolver fails then, the old addresses serve."""
    lookups: list[str] = []

    async def look_up(host: str, port: int) -> list[Address]:
        lookups.append(host)
        if len(lookups) > 2:
            raise socket.gaierror(-3, "try again")
        return [(socket.AF_INET, ("127.0.0.1", port))]

    dialer = Dialer(Route("upstream.example", 80, None), refresh, "http://upstream.example", look_up)
    answers = [await dialer.addresses() for _ in range(3)]
    assert answers == [[(socket.AF_INET, ("127.0.0.1", 80))]] * 3
    assert lookups == ["upstream.example"] * times


async def test_a_name_that_does_not_resolve_fails_in_that_phase() -> None:
    """And says so without a stack of system errors."""
    with pytest.raises(HTTPError) as caught:
        await Pool("http://nowhere.invalid", proxy="").request("GET", "/", timeouts=Timeouts(connect=5.0))
    assert caught.value.phase == "resolve"
