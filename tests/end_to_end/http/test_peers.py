"""Other people's clients against our server, our client against other people's servers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import httpx
import openai
import pytest

from equipoise.http import Pool, Request, Response, client_context
from tests.end_to_end.http.servers import command, free_port, nginx, running
from tests.wire.http.certificates import Authority
from tests.wire.http.harness import KINDS, own_server, serving, uvicorn_server

BIG = b"prompt " * 20_000
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


async def service(request: Request) -> Response:
    """Enough of a chat API for every client: echo, a completion, a stream."""
    if request.path == "/v1/chat/completions":
        return stream() if b'"stream":true' in request.body.replace(b" ", b"") else completion()
    return Response(200, ((b"content-type", b"application/octet-stream"),), request.body or b"hello")


def completion() -> Response:
    message = {"role": "assistant", "content": "forty-two"}
    body = {
        **CHUNK,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    return Response(200, ((b"content-type", b"application/json"),), json.dumps(body).encode())


def stream() -> Response:
    async def events() -> AsyncIterator[bytes]:
        for word in ("forty", "-", "two"):
            choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            yield b"data: " + json.dumps({**CHUNK, "choices": [choice]}).encode() + b"\n\n"
            await asyncio.sleep(0.01)
        yield b"data: [DONE]\n\n"

    return Response(200, ((b"content-type", b"text/event-stream"),), events())


async def output_of(*arguments: str) -> str:
    """What a program prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed
    return printed.decode()


@pytest.mark.parametrize("kind", KINDS)
async def test_curl_speaks_with_us(kind: str, tmp_path: Path) -> None:
    """Keep-alive, Expect: 100-continue for a large body, chunked upload, HEAD, HTTP/1.0, an offer of HTTP/2."""
    curl, big = command("curl"), tmp_path / "big"
    big.write_bytes(BIG * 10)
    async with serving(kind, service) as port:
        url = f"http://127.0.0.1:{port}/"
        quiet = (curl, "-sS", "--fail", "--noproxy", "*")
        assert await output_of(*quiet, url, url) == "hellohello"
        sent = await output_of(*quiet, "-v", "-o", "/dev/null", "-w", "%{size_download}", "-T", str(big), url)
        assert sent.endswith(str(len(BIG) * 10))
        assert "100 Continue" in sent
        chunked = await output_of(
            *quiet,
            "-H",
            "Transfer-Encoding: chunked",
            "--data-binary",
            "@" + str(big),
            url,
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}",
        )
        assert chunked == str(len(BIG) * 10)
        assert "content-length: 5" in (await output_of(*quiet, "-I", url)).lower()
        for option in ("--http1.0", "--http2"):
            assert await output_of(*quiet, option, url) == "hello"


@pytest.mark.parametrize("kind", KINDS)
async def test_the_openai_sdk_speaks_with_us(kind: str) -> None:
    """Whole answers and streams, several at once over kept-alive connections."""
    async with (
        serving(kind, service) as port,
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as client,
    ):

        async def whole() -> str | None:
            answer = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])
            return answer.choices[0].message.content

        async def streamed() -> str:
            events = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "?"}], stream=True
            )
            return "".join([event.choices[0].delta.content or "" async for event in events])

        answers = await asyncio.gather(*(ask() for ask in (whole, streamed) for _ in range(5)))
        assert answers == ["forty-two"] * 10


@pytest.mark.parametrize("kind", KINDS)
async def test_aiohttp_and_httpx_speak_with_us(kind: str) -> None:
    """Bodies with a length and without, kept-alive."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(BIG), 10_000):
            yield BIG[at : at + 10_000]

    async with serving(kind, service) as port:
        url = f"http://127.0.0.1:{port}/"
        async with aiohttp.ClientSession() as session:
            for body in (BIG, pieces()):
                async with session.post(url, data=body) as response:
                    assert await response.read() == BIG
        async with httpx.AsyncClient(trust_env=False) as client:
            for content in (BIG, pieces()):
                assert (await client.post(url, content=content)).content == BIG


async def test_load_generators_find_no_error() -> None:
    """wrk and h2load over HTTP/1.1, the latter with pipelining."""
    wrk, h2load = command("wrk"), command("h2load")
    async with own_server(service) as server:
        url = f"http://127.0.0.1:{server.port}/"
        printed = await output_of(wrk, "-t1", "-c16", "-d1s", url)
        assert "Socket errors" not in printed
        assert "Non-2xx" not in printed
        assert int(re.findall(r"(\d+) requests in", printed)[0]) > 100
        printed = await output_of(h2load, "--h1", "-n2000", "-c8", "-m4", url)
        assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in printed


async def check_upstream(pool: Pool) -> None:
    """What every decent server does: GET, a large POST, HEAD, many at once, and all connections kept."""
    assert await (await pool.request("GET", "/")).read() == b"hello"
    assert await (await pool.request("HEAD", "/")).read() == b""

    async def post() -> bytes:
        return await (await pool.request("POST", "/echo", body=BIG)).read()

    assert await asyncio.gather(*(post() for _ in range(10))) == [BIG] * 10
    response = await pool.request("POST", "/echo", body=BIG)
    assert b"".join([piece async for piece in response]) == BIG
    assert pool.in_use == 0
    assert pool.idle > 0
    await pool.close()


async def test_our_client_speaks_with_uvicorn() -> None:
    """An ASGI application that is not ours."""

    async def application(scope: dict[str, object], receive: object, send: object) -> None:
        assert callable(receive)
        assert callable(send)
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body or b"hello"})

    async with uvicorn_server(application) as port:
        await check_upstream(Pool(f"http://127.0.0.1:{port}"))


async def test_our_client_speaks_with_node(tmp_path: Path) -> None:
    """Node's http module, which answers in chunks."""
    script, port = tmp_path / "server.js", free_port()
    script.write_text(
        "require('http').createServer((request, response) => {\n"
        "  if (request.method === 'POST') request.pipe(response); else response.end('hello');\n"
        f"}}).listen({port}, '127.0.0.1');\n"
    )
    async with running([command("node"), str(script)], port, tmp_path):
        await check_upstream(Pool(f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize("tls", [False, True])
async def test_our_client_speaks_with_nginx(tmp_path: Path, tls: bool) -> None:
    """nginx in front of our server, in plain text and over TLS; both our halves with a stranger between them."""
    files = Authority(tmp_path)
    own = files.issue("localhost")
    async with own_server(service) as server:
        listen = "listen 127.0.0.1:PORT"
        if tls:
            listen += f" ssl; ssl_certificate {own.certificate}; ssl_certificate_key {own.key}"
        proxy = f"location / {{ proxy_pass http://127.0.0.1:{server.port}; client_max_body_size 10m; }}"
        arguments, port = nginx(tmp_path, f"{listen}; {proxy}")
        async with running(arguments, port, tmp_path):
            scheme = "https" if tls else "http"
            await check_upstream(
                Pool(f"{scheme}://localhost:{port}", tls=client_context(files.certificate) if tls else None)
            )
