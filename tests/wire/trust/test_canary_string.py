"""Words that are sent through everything, and looked for in everything that is kept, shown or told to others."""

from __future__ import annotations

import asyncio
import html
import json
import re
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from equipoise.cli import main
from equipoise.http import HTTPError, Pool, Request, Response, Server, Timeouts
from tests.patience import until
from tests.wire.trust.parrot import ANSWER, ERROR, ERRORS, SOURCE, Parrot

WORD = "mulberry"
"""In the question, in headers, in comments; the upstreams' own words begin with it as well."""
QUESTION = f"What does {WORD}-question mean for Mr 4711-0815 ({WORD}@example.org)?"
HEADERS = {
    "x-notes": f"{WORD}-header",
    "cookie": f"c={WORD}-cookie",
    "user-agent": f"{WORD}-agent",
    "referer": f"http://{WORD}/",
    "baggage": f"user={WORD}",
}
OWN = f"""
async def silent_hook(value, context):
    raise ValueError(f"a hook that tells what it saw: {{value}}")

async def old(text):
    return f"{ANSWER} of old: {{text}}"

async def failing(text):
    raise RuntimeError(f"a function that tells what it was asked: {{text}}")

def cleaned(text):
    return text.replace("{WORD}", "[gone]")

class Crashing:
    def __init__(self, **options):
        pass

    def choose(self, candidates, request):
        raise ValueError(f"a strategy that tells what it was asked: {{request}}")
"""
LINK = re.compile(rb"""(?:href|src|action)=["'](/[^"'#/][^"'#]*)""")
MOST_VIEWS = 6
"""Ways of looking at one page (filters, ranges) that are followed."""
KINDS = ("good", "slow", "cut", "broken", "complaining", "garbage", "silent", *ERRORS)


def configuration(upstream: str, collector: str, folder: Path, form: str, **more: Any) -> dict[str, Any]:
    chat = {"backend_type": "openai_direct", "model": "m", "api_key": "sk-x", "price": {"input": 1, "output": 1}}
    backends: dict[str, Any] = {kind: {**chat, "endpoint_url": f"{upstream}/{kind}/v1"} for kind in KINDS}
    backends |= {
        f"graph-{kind}": {"backend_type": "lightrag", "endpoint_url": f"{upstream}/{kind}"}
        for kind in ("good", "cut", "empty")
    }
    backends["sonar"] = {
        "backend_type": "perplexity",
        "api": "chat",
        "api_key": "x",
        "endpoint_url": f"{upstream}/good",
    }
    backends["own"] = {"backend_type": "function", "function": "own:failing"}
    return {
        "backend_instances": backends,
        "strategy": "adaptive_learning",
        "routes": {
            "auto": {"backends": ["good", "sonar"]},
            "failing-over": {"backends": [*ERRORS, "garbage", "own"], "fallback": ["good"]},
            "hedged": {"backends": ["slow", "good"], "hedge": {"enabled": True}, "strategy": "round_robin"},
            "copied": {"backends": ["good", "error500", "graph-good"], "explore": "shadow"},
            "crashing": {"backends": ["good"], "strategy": "own:Crashing"},
            "hopeless": {"backends": ["error500", "error401", "garbage"]},
        },
        "learning": {"shadow_share": 1.0, "shadow_usd_per_hour": 100.0},
        "quality_sampling_rate": 1.0,
        "quality": {"judge": {"backend": "good", "share": 1.0, "max_usd_per_hour": 100.0, "own_answers": True}},
        "canary": {"hold_minutes": 0, "copies": {"questions": 10_000, "share": 1.0, "max_usd_per_hour": 100.0}},
        "hooks": {"before": ["own:silent_hook"], "after": ["own:silent_hook"]},
        "retry": {"max_attempts": 12, "share": 1.0, "burst": 1_000, "backoff_base_seconds": 0.001},
        "alerts": {"interval_seconds": 0.05, "minimum_requests": 1, "suppression_seconds": 0},
        "alert_webhook_url": f"{collector}/alerts",
        "tracing": {"enabled": True, "endpoint": f"{collector}/v1/traces", "sample_ratio": 1.0},
        "metrics": {"pushgateway_url": f"{collector}/push", "push_interval_seconds": 0.2},
        "state_dir": str(folder / "state"),
        "log": {"level": "debug", "format": form},
        **more,
    }


class Witness:
    """Takes what is sent to it: alerts, spans, pushed metrics."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.paths: set[str] = set()
        self._server = Server(self._take)

    async def _take(self, request: Request) -> Response:
        self.heard.append(request.body)
        self.paths.add(request.path.split("/")[1])
        return Response(200, (), b"")


class Gateway:
    """The shipped gateway as a process, and what it wrote."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process, public: str, admin: str) -> None:
        self.folder, self._process = folder, process
        self.public, self.admin = Pool(public), Pool(admin)
        self.output = b""

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, bytes]:
        """What a client heard; nothing where the connection broke."""
        fields = [(name.encode(), value.encode()) for name, value in {**HEADERS, **headers}.items()]
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            response = await self.public.request(
                "POST", path, headers=fields, body=raw, timeouts=Timeouts(total=20.0, connect=5.0)
            )
            return response.status, await response.read()
        except HTTPError:
            return 0, b""

    async def stop(self) -> None:
        await self.public.close()
        await self.admin.close()
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        out, err = await self._process.communicate()
        self.output += out + err


@asynccontextmanager
async def running(folder: Path, form: str, *flags: str, **more: Any) -> AsyncIterator[tuple[Gateway, Parrot, Witness]]:
    parrot, witness = Parrot(), Witness()
    await parrot.start()
    await witness._server.start("127.0.0.1", 0)
    collector = f"http://127.0.0.1:{witness._server.port}"
    (folder / "own.py").write_text(OWN)
    config = folder / "equipoise.json"
    config.write_text(json.dumps(configuration(parrot.url, collector, folder, form, **more)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "equipoise", "serve", "-c", str(config), "--port", "0", "--debug", *flags,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=folder,
    )  # fmt: skip
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(2)]
    urls = [found[0].decode() for line in lines if (found := re.search(rb"http://[\d.:]+", line))]
    assert len(urls) == 2, (await process.communicate())[1].decode()
    gateway = Gateway(folder, process, *urls)
    try:
        yield gateway, parrot, witness
    finally:
        if process.returncode is None:
            await gateway.stop()
        await parrot.stop()
        await witness._server.drain(0)


async def begin_a_canary(gateway: Gateway) -> None:
    """A candidate that is shown copies of questions."""
    text = json.dumps({"strategy": "round_robin"})
    body = json.dumps({"candidate": text, "name": "new.json", "at": 50.0, "who": "ann", "why": "try"}).encode()
    response = await gateway.admin.request("POST", "/admin/canary/start", body=body)
    told = await response.read()
    assert response.status == 200, told


async def ask_everything(gateway: Gateway) -> list[str]:
    """Every dialect, whole and streamed, of every backend and route; repeats, feedback, nonsense. Gives request ids."""
    models = [
        *KINDS,
        "graph-good",
        "graph-cut",
        "graph-empty",
        "sonar",
        "own",
        "auto",
        "failing-over",
        "hedged",
        "copied",
    ]
    ids = [f"r-{number}" for number in range(2 * (len(models) + 2))]
    asked = [(model, stream) for model in (*models, "crashing", "hopeless") for stream in (False, True)]
    await asyncio.gather(*(ask(gateway, *each, known) for each, known in zip(asked, ids, strict=True)))
    body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}]}
    for _ in range(2):
        await gateway.post("/v1/chat/completions", body, **{"idempotency-key": f"{WORD}-key"})
    for bad in (
        b"{" + QUESTION.encode(),
        {"model": QUESTION, "messages": QUESTION},
        {**body, WORD: QUESTION, "stop": 7},
    ):
        await gateway.post("/v1/chat/completions", bad)
    for name in ("strategy", "max-cost-usd", "deadline-ms", "data-class", "priority"):
        await gateway.post("/v1/chat/completions", body, **{f"x-equipoise-{name}": f"{WORD} {name}"})
    await gateway.post("/v1/chat/completions", body, authorization=f"Bearer {WORD}-secret")
    await gateway.post("/v1/route/explain", {"question": QUESTION})
    await gateway.post(f"/{WORD}/{WORD}", body)
    for comment in ({}, {"comment": QUESTION}):
        await gateway.post("/v1/feedback", {"request_id": ids[0], "rating": 2, **comment})
    await gateway.post("/v1/feedback", {"request_id": ids[0], "rating": 2, "dimensions": {QUESTION: 0.5}})
    return ids


async def ask(gateway: Gateway, model: str, stream: bool, request_id: str) -> None:
    """One backend or route, in three dialects."""
    chat = {"model": model, "stream": stream, "messages": [{"role": "user", "content": QUESTION}]}
    await gateway.post("/v1/chat/completions", chat, **{"x-request-id": request_id})
    await gateway.post("/query/stream" if stream else "/query", {"query": QUESTION, "model": model})
    await gateway.post("/v1/responses", {"model": model, "stream": stream, "input": QUESTION})


async def pages(gateway: Gateway, ids: list[str], most: int = MOST_VIEWS) -> dict[str, bytes]:
    """Every page that can be read on either listener: those that are described, and all that those lead to."""
    found: dict[str, bytes] = {}
    for name, pool in (("public", gateway.public), ("admin", gateway.admin)):
        described = json.loads(await (await pool.request("GET", "/openapi.json")).read())["paths"]
        waiting = ["/", "/admin", "/dashboard", *(path for path, methods in described.items() if "get" in methods)]
        waiting = [each for path in waiting for each in filled(path, ids)]
        views = Counter[str]()
        while waiting:
            path = waiting.pop()
            views[path.partition("?")[0]] += 1
            if (key := f"{name} {path}") in found or views[path.partition("?")[0]] > most:
                continue
            response = await pool.request("GET", path, timeouts=Timeouts(total=10.0))
            found[key] = await response.read()
            waiting += [html.unescape(link.decode()) for link in LINK.findall(found[key])]
    return found


def filled(path: str, ids: list[str]) -> list[str]:
    """A described path with its places filled."""
    names = re.findall(r"{(\w+)}", path)
    if names == ["request_id"]:
        return [path.replace("{request_id}", each) for each in ids]
    return [re.sub(r"{\w+}", "good", path)]


def held(found: dict[str, bytes], word: str = WORD) -> list[str]:
    """Where the word is, and a little of what stands around it."""
    sought, places = word.lower().encode(), {name: text.lower() for name, text in found.items()}
    return [
        f"{name}: {text[max(0, at - 80) : at + 60]!r}"
        for name, text in places.items()
        if (at := text.find(sought)) >= 0
    ]


async def until_booked(gateway: Gateway, roles: frozenset[str]) -> None:
    """Ask on until there is a record of each of these roles: copies, trials and grades come beside the answers, when they can."""
    deadline = time.monotonic() + PATIENCE
    while missing := roles - await asyncio.to_thread(roles_in, gateway.folder / "state" / "ledger.sqlite3"):
        assert time.monotonic() < deadline, missing
        for model in ("auto", "copied"):
            await ask(gateway, model, False, "r-again")
        await asyncio.sleep(0.1)


def roles_in(ledger: Path) -> set[str]:
    """Of the records written so far."""
    if not ledger.exists():
        return set()
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=10.0)) as connection:
        return {role for (role,) in connection.execute("SELECT DISTINCT role FROM attempts")}


def files(folder: Path) -> dict[str, bytes]:
    """All that was written, byte for byte, write-ahead logs included, but for what this test wrote itself."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name not in OURS}


ROLES = frozenset({"answer", "trial", "judge", "control", "shadow"})
PATIENCE = 60.0
OURS = ("own.py", "own.cpython-311.pyc", "own.cpython-312.pyc", "own.cpython-313.pyc", "equipoise.json")


async def everything(folder: Path, form: str, *, look: bool = True, **more: Any) -> tuple[dict[str, bytes], Parrot]:
    """Ask, look at every page, stop, and give all that was shown or written or told to anybody but the clients.

    Pages say the same whatever the form of the log, and show nothing of what is kept: `look` where it is kept in full.
    """
    async with running(folder, form, **more) as (gateway, parrot, witness):
        ids = await ask_everything(gateway)
        await until_booked(gateway, frozenset({"trial"}))  # a canary's questions are not tried elsewhere
        await begin_a_canary(gateway)
        await until_booked(gateway, ROLES)
        await until(lambda: witness.paths >= {"alerts", "v1", "push"})
        found = await pages(gateway, ids) if look else {}
        found |= {f"while running {name}": text for name, text in files(folder).items()}
        await gateway.stop()
    for number, heard in enumerate(witness.heard):
        found[f"told others, {number}"] = heard
    found |= files(folder) | {"stdout and stderr": gateway.output}
    return found, parrot


@pytest.mark.parametrize("form", ["console", "json"])
async def test_no_word_stays_anywhere(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By default: no question, answer, source, header, comment, nor what an upstream said of it, in any store, log, metric,
    span, alert, page or crash; the ledger and all the rest were written, and the crash was told of."""
    found, parrot = await everything(tmp_path, form, look=form == "console")
    assert set(KINDS) <= set(parrot.asked)
    assert b"a handler failed" in found["stdout and stderr"]
    assert b"ValueError" in found["stdout and stderr"]
    assert any(name.endswith("ledger.sqlite3") for name in found)
    if form == "console":
        assert len([name for name in found if name.startswith("admin /admin")]) > 10
        assert len([name for name in found if name.startswith("admin /dashboard/")]) > 20
    assert main(["ledger", "export", "-c", str(tmp_path / "equipoise.json")]) == 0
    found["export"] = capsys.readouterr().out.encode()
    assert found["export"].count(b"\n") > 50
    assert all(role.encode() in found["export"] for role in ROLES)
    assert held(found) == []


async def test_kept_words_are_in_their_own_file_and_can_be_taken_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `content: full` question, answer and sources are in content.sqlite3, and nowhere else; a purge leaves no byte."""
    found, _ = await everything(tmp_path, "json", content="full")
    kept = {name: text for name, text in found.items() if "content.sqlite3" in name}
    rest = {name: text for name, text in found.items() if name not in kept}
    for word in (QUESTION, ANSWER, SOURCE):
        assert held(kept, word)
    assert not held(kept, ERROR)
    assert not held(kept, f"{WORD}-header")
    assert held(rest) == []
    config = ["-c", str(tmp_path / "equipoise.json")]
    assert main(["tenant", "content", "default", "--request", "r-0", "--json", *config]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert QUESTION in row["question"]
    assert ANSWER in row["answer"]
    assert main(["tenant", "purge", "default", *config]) == 4
    assert main(["tenant", "purge", "default", "--yes", *config]) == 0
    assert held(files(tmp_path)) == []
    assert main(["ledger", "query", "--json", "--limit", "1", *config]) == 0
    capsys.readouterr()
    assert main(["audit", "ls", "--json", *config]) == 0
    assert [entry["action"] for entry in json.loads(capsys.readouterr().out)][:2] == ["tenant purge", "tenant content"]


async def test_redacted_words_were_redacted_before_they_reached_the_disk(tmp_path: Path) -> None:
    """By the operator's own function, after addresses and numbers: at no moment does the file hold what it took out."""
    content = {"tenants": {"default": "redacted"}, "redact": "own:cleaned"}
    found, _ = await everything(tmp_path, "json", look=False, content=content)
    assert held(found) == []
    kept = {name: text for name, text in found.items() if "content.sqlite3" in name}
    assert held(kept, "[gone]-question")
    assert held(kept, "[gone]-source")
    assert not held(kept, "4711")
