"""Sockets of all kinds, TLS on both sides, and going away with grace."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from equipoise.http import HTTPError, Pool, Request, Response, Server, ServerLimits, TLSFiles, client_context
from tests.wire.http.certificates import Authority
from tests.wire.http.harness import echo, own_server, talk, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


async def test_a_unix_socket_serves_too(tmp_path: Path) -> None:
    """Its peers are called `unix` and can be trusted under that name."""

    async def who(request: Request) -> Response:
        return Response(200, (), request.client.encode())

    server = Server(who, trusted_proxies=("unix",))
    await server.start(unix=str(tmp_path / "socket"))
    for fields, client in ((b"", b"unix"), (b"X-Forwarded-For: 9.9.9.9\r\n", b"9.9.9.9")):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
        writer.write(GET + fields + b"Connection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\n" + client)
        writer.close()
    assert await server.drain(1.0) == 0


async def test_two_servers_share_a_port() -> None:
    """SO_REUSEPORT: the kernel deals out connections, and one may leave without the other."""
    first, second = Server(echo), Server(echo)
    await first.start(reuse_port=True)
    await second.start(port=first.port, reuse_port=True)
    assert first.port == second.port
    await first.drain(1.0)
    assert (await talk(second.port, GET + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await second.drain(1.0)


async def test_draining_lets_answers_finish_and_refuses_the_rest() -> None:
    """Idle connections go at once, running answers end well and close, nobody new gets in."""
    release = asyncio.Event()

    async def wait(request: Request) -> Response:
        await release.wait()
        return Response(200, (), b"done")

    server = Server(wait)
    await server.start()
    idle_reader, idle = await asyncio.open_connection("127.0.0.1", server.port)
    running = asyncio.create_task(talk(server.port, GET + b"\r\n"))
    assert await until(lambda: server.in_flight == 1 and server.connections == 2)
    drained = asyncio.create_task(server.drain(5.0))
    assert await idle_reader.read() == b""
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", server.port)
    release.set()
    answer = await running
    assert b"connection: close" in answer
    assert answer.endswith(b"done")
    assert await drained == 0
    idle.close()


async def test_draining_cuts_what_does_not_end_in_time() -> None:
    """The number of cut answers is told; their handlers are cancelled."""
    cancelled = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)
        finally:
            cancelled.set()

    async def stream(request: Request) -> Response:
        return Response(200, (), endless())

    server = Server(stream)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(GET + b"\r\n")
    await reader.readuntil(b"x")
    assert await server.drain(0.05) == 1
    assert cancelled.is_set()
    assert server.in_flight == server.connections == 0
    writer.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def served_over_tls(pool: Pool) -> bytes:
    """The body of one answer."""
    response = await pool.request("POST", "/x", body=b"secret")
    return await response.read()


async def test_tls_is_verified_by_name_and_authority(authority: Authority) -> None:
    """The right authority and name are let in; either being wrong is an error of the phase `tls`."""
    async with own_server(tls=authority.issue("localhost")) as server:
        good = Pool(f"https://localhost:{server.port}", tls=client_context(authority.certificate))
        assert await served_over_tls(good) == b"POST /x? 6 secret"
        await good.close()
        wrong_name = Pool(f"https://127.0.0.1:{server.port}", tls=client_context(authority.certificate))
        wrong_authority = Pool(f"https://localhost:{server.port}", tls=ssl.create_default_context())
        for pool in (wrong_name, wrong_authority):
            with pytest.raises(HTTPError, match="certificate") as caught:
                await served_over_tls(pool)
            assert (caught.value.phase, caught.value.maybe_processed) == ("tls", False)


async def test_ssl_cert_file_names_the_authorities(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every other program that uses OpenSSL."""
    monkeypatch.setenv("SSL_CERT_FILE", authority.certificate)
    async with own_server(tls=authority.issue("localhost", file="environment")) as server:
        pool = Pool(f"https://localhost:{server.port}")
        assert await served_over_tls(pool) == b"POST /x? 6 secret"
        await pool.close()


async def test_the_certificate_is_renewed_without_restart(authority: Authority, tmp_path: Path) -> None:
    """New connections see the new one; a file that is not good changes nothing."""

    def install(files: TLSFiles) -> None:
        shutil.copy(files.certificate, served.certificate)
        shutil.copy(files.key, served.key)

    async def serial(port: int) -> object:
        context = client_context(authority.certificate)
        _, writer = await asyncio.open_connection("localhost", port, ssl=context)
        number = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        return number

    served = TLSFiles(str(tmp_path / "served.pem"), str(tmp_path / "served.key"))
    install(authority.issue("localhost", file="old"))
    async with own_server(tls=served) as server:
        old = await serial(server.port)
        Path(served.key).write_text("nonsense")
        with pytest.raises(ssl.SSLError):
            server.reload_tls()
        assert await serial(server.port) == old
        install(authority.issue("localhost", file="new"))
        server.reload_tls()
        assert await serial(server.port) != old


async def test_client_certificates_are_asked_for_if_an_authority_is_named(authority: Authority) -> None:
    """Without one there is no connection."""
    own, visitor = authority.issue("localhost", file="mutual"), authority.issue("visitor")
    files = TLSFiles(own.certificate, own.key, authority.certificate)
    async with own_server(tls=files) as server:
        known = client_context(authority.certificate)
        known.load_cert_chain(visitor.certificate, visitor.key)
        pool = Pool(f"https://localhost:{server.port}", tls=known)
        assert await served_over_tls(pool) == b"POST /x? 6 secret"
        await pool.close()
        with pytest.raises(HTTPError):
            await served_over_tls(Pool(f"https://localhost:{server.port}", tls=client_context(authority.certificate)))


async def test_hanging_up_and_backpressure_work_over_tls(authority: Authority) -> None:
    """A stream over TLS is bounded, and closed when its client leaves."""
    closed = asyncio.Event()
    made = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        try:
            while True:
                made += 10_000
                yield b"x" * 10_000
        finally:
            closed.set()

    async def stream(request: Request) -> Response:
        return Response(200, (), endless())

    async with own_server(stream, tls=authority.issue("localhost", file="stream"), limits=ServerLimits()) as server:
        context = client_context(authority.certificate)
        reader, writer = await asyncio.open_connection("localhost", server.port, ssl=context, limit=4_096)
        writer.write(GET + b"\r\n")
        await reader.readexactly(100)
        await asyncio.sleep(0.2)
        assert made < 20_000_000
        writer.transport.abort()
        assert await until(closed.is_set)


@pytest.mark.parametrize("asks", [True, False])
async def test_a_handshake_that_ends_while_the_server_drains_holds_it_up_for_a_moment_only(
    authority: Authority, *, asks: bool
) -> None:
    """Who was let in before is answered once more; who says nothing then does not keep the server for its whole deadline."""
    release = asyncio.Event()

    async def wait(request: Request) -> Response:
        await release.wait()
        return Response(200, (), b"done")

    files = authority.issue("localhost", file=f"draining-{asks}")
    server, trusting = Server(wait, tls=files), client_context(authority.certificate)
    await server.start()
    reader, writer = await asyncio.open_connection("localhost", server.port, ssl=trusting)
    writer.write(GET + b"\r\n")
    assert await until(lambda: server.in_flight == 1)
    late, late_writer = await asyncio.open_connection("127.0.0.1", server.port)
    await asyncio.sleep(0.05)  # accepted, and waiting for a handshake
    drained = asyncio.create_task(server.drain(60.0))
    await asyncio.sleep(0)
    await late_writer.start_tls(trusting, server_hostname="localhost")
    assert await until(lambda: server.connections == 2)
    release.set()
    if asks:
        late_writer.write(GET + b"\r\n")
        assert b"connection: close" in await late.read()
    async with asyncio.timeout(20.0):
        assert await drained == 0
    assert (await reader.read()).endswith(b"done")
    for each in (writer, late_writer):
        each.close()
