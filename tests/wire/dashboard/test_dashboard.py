"""The dashboard as a browser meets it: who is let in, what he is shown, what he may order."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from equipoise.core.events import AttemptEnded
from equipoise.dashboard.guessing import MOST_WRONG
from equipoise.dashboard.pages import PAGES
from equipoise.dashboard.sources import SOURCES
from equipoise.gateway import ClientKeys
from equipoise.http import Request
from tests.shell.dashboard.test_markup import read
from tests.shell.stores.attempts import attempt
from tests.wire.dashboard.house import KEY, House, Visitor, visiting

EVIL = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
ASKED = {"model": "auto", "messages": [{"role": "user", "content": "What is lactate?"}]}
PATHS = ["/dashboard", *(f"/dashboard/{page.name}" for page in PAGES if page.name)]


async def test_nobody_gets_in_without_the_key(house: House, visitor: Visitor) -> None:
    """Pages and tables ask for it; a wrong one begins no session; what is behind is not shown."""
    for path in [*PATHS, "/dashboard/tables/backends.json", "/dashboard/requests/x"]:
        answer = await visitor.get(path)
        assert answer.status == 401
        assert "graph_deep" not in answer.text
    wrong = await visitor.log_in("not-the-key")
    assert wrong.status == 401
    assert visitor.cookie == ""
    right = await visitor.log_in()
    assert (right.status, right.headers["location"]) == (303, "/dashboard")
    assert KEY not in right.headers["set-cookie"]
    assert "graph_deep" in (await visitor.get("/dashboard")).text


async def test_guessing_is_slowed(visitor: Visitor) -> None:
    """After some wrong keys even the right one must wait."""
    for _ in range(MOST_WRONG):
        assert (await visitor.log_in("guess")).status == 401
    assert (await visitor.log_in()).status == 429


async def test_who_comes_in_and_who_does_not_is_written_down(house: House, visitor: Visitor) -> None:
    """In the audit journal, by name; no key stands there, neither the right one nor a wrong one."""
    await visitor.log_in("a-wrong-key-of-ann")
    await visitor.log_in()
    journal = await visitor.get("/admin/audit", authorization=f"Bearer {KEY}")
    entries = json.loads(journal.text)["entries"]
    assert [(entry["who"], entry["action"], entry["outcome"]) for entry in entries] == [
        ("admin", "POST /dashboard/login", "done"),
        ("", "POST /dashboard/login", "refused: invalid_api_key"),
    ]
    assert "key-of-ann" not in journal.text
    assert KEY not in journal.text


async def test_logging_out_ends_the_session(visitor: Visitor) -> None:
    """Also for a cookie that was kept."""
    await visitor.log_in()
    page = await visitor.get("/dashboard")
    left = await visitor.post("/dashboard/logout", {"proof": page.proof})
    assert "Max-Age=0" in left.headers["set-cookie"]
    assert (await visitor.get("/dashboard")).status == 401


async def test_every_page_has_the_fence(house: House, visitor: Visitor) -> None:
    """A policy without inline scripts or styles, and markup that keeps to it; nothing from elsewhere."""
    await visitor.log_in()
    await (await house.post("/v1/chat/completions", ASKED)).read()
    for path in PATHS:
        answer = await visitor.get(path)
        assert answer.status == 200, path
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        tags = read(answer.text).tags
        assert not any(name.startswith("on") or name == "style" for _, attributes in tags for name in attributes)
        assert [attributes for tag, attributes in tags if tag == "script"] == [
            {"src": "/dashboard/static/dashboard.js", "defer": None}
        ]
        links = [attributes.get(name) for _, attributes in tags for name in ("src", "href") if attributes.get(name)]
        assert all(link.startswith(("/dashboard", "#")) for link in links if link)


async def test_a_strangers_words_are_text_everywhere(house: House, visitor: Visitor) -> None:
    """Tenant, tag, model, error, session and reason of a hostile request, on every page, in its story, in filters."""
    balancer = house.estate.balancer
    bad = attempt(
        EVIL,
        tenant=EVIL,
        tags=(EVIL,),
        model=EVIL,
        backend_id=EVIL,
        session=EVIL,
        error=EVIL,
        wall=balancer.selection.clock.wall(),
    )
    balancer.tell(AttemptEnded(bad))
    await visitor.log_in()
    for path in [
        *PATHS,
        f"/dashboard/requests/{quote(EVIL, safe='')}",
        f"/dashboard?backend={quote(EVIL)}&tenant={quote(EVIL)}",
    ]:
        answer = await visitor.get(path)
        tags = read(answer.text).tags
        assert [tag for tag, _ in tags].count("script") == 1, path
        assert not any("onerror" in attributes for _, attributes in tags)
    story = await visitor.get(f"/dashboard/requests/{quote(EVIL, safe='')}")
    assert EVIL in read(story.text).text


async def test_a_form_that_is_not_ours_does_nothing(house: House, visitor: Visitor) -> None:
    """Without the proof, with another's, from another origin, or across sites: refused, and the backend stays."""
    await visitor.log_in()
    proof = (await visitor.get("/dashboard/backends")).proof
    other = visiting(house)
    await other.log_in()
    stolen = (await other.get("/dashboard/backends")).proof
    for said, headers in (
        ({}, {}), ({"proof": ""}, {}), ({"proof": stolen}, {}),
        ({"proof": proof}, {"origin": "http://evil.example"}), ({"proof": proof}, {"origin": "null"}),
        ({"proof": proof}, {"sec-fetch-site": "cross-site"}),
    ):  # fmt: skip
        answer = await visitor.post("/dashboard/do/drain", {"target": "web_search", **said}, **headers)
        assert answer.status == 403, (said, headers)
    assert not row(house, "web_search")["draining"]


def row(house: House, name: str) -> dict[str, object]:
    return next(one for one in house.estate.balancer.status()["backends"] if one["id"] == name)


async def test_orders_do_what_they_say(house: House, visitor: Visitor) -> None:
    """Drain and resume, open and close, weigh: by buttons of the page; the change is told to observers."""
    await visitor.log_in()
    proof = (await visitor.get("/dashboard/backends")).proof

    async def order(action: str, **more: str) -> dict[str, object]:
        answer = await visitor.post(f"/dashboard/do/{action}", {"proof": proof, "target": "web_search", **more})
        assert (answer.status, answer.headers["location"]) == (303, "/dashboard/backends")
        return row(house, "web_search")

    assert (await order("drain"))["draining"]
    assert not (await order("resume"))["draining"]
    assert (await order("open"))["breaker"]["state"] == "open"  # type: ignore[index]
    assert (await order("close"))["breaker"]["state"] == "closed"  # type: ignore[index]
    assert (await order("weight", weight="2.5"))["weight"] == 2.5
    done = json.loads((await visitor.get("/dashboard/tables/audit.json")).body)["rows"]
    assert [(entry["target"], entry["outcome"]) for entry in done] == [*[("web_search", "done")] * 5, ("", "done")]
    changes = json.loads((await visitor.get("/dashboard/tables/breakers.json")).body)["rows"]
    assert [(change["backend_id"], change["state"], change["why"]) for change in changes] == [
        ("web_search", "closed", "closed by hand"), ("web_search", "open", "opened by hand"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "said", "status"),
    [
        ("weight", {"target": "web_search", "weight": "heavy"}, 400), ("weight", {"target": "web_search", "weight": "-1"}, 400),
        ("drain", {"target": "nobody"}, 404), ("drain", {"target": "../../reload"}, 404), ("drain", {}, 400), ("explode", {"target": "web_search"}, 404),
        ("canary-set-weight", {"weight": "much"}, 400), ("canary-pause", {}, 400), ("canary-start", {}, 404), ("ack", {}, 404),
    ],
)  # fmt: skip
async def test_orders_that_make_no_sense_are_refused(
    visitor: Visitor, action: str, said: dict[str, str], status: int
) -> None:
    """With a page that says why."""
    await visitor.log_in()
    proof = (await visitor.get("/dashboard")).proof
    answer = await visitor.post(f"/dashboard/do/{action}", {"proof": proof, **said})
    assert answer.status == status
    assert 'role="alert"' in answer.text


async def test_forms_are_bounded(visitor: Visitor) -> None:
    """Too large, too many fields, no UTF-8: refused or taken for a wrong key, never a fault of ours."""
    assert (await visitor.post("/dashboard/login", {"key": "x" * 5_000})).status == 413
    assert (await visitor.post("/dashboard/login", {str(n): "x" for n in range(50)})).status == 400
    assert (await visitor._sent("POST", "/dashboard/login", b"key=%ff\xff&&=", {})).status == 401


async def test_who_may_only_look_cannot_act(tmp_path: Path) -> None:
    """No buttons, and no order that is sent all the same; what was tried is written down. A revoked key ends a session."""
    looking = "a-key-that-may-only-look"
    house = House(tmp_path, admin_keys={"eve": {"key": looking, "role": "view"}})
    await house.start()
    try:
        visitor = visiting(house)
        await visitor.log_in(looking)
        page = await visitor.get("/dashboard/backends")
        assert "as eve view" in page.text
        assert "/dashboard/do/" not in page.text
        assert (await visitor.post("/dashboard/do/drain", {"proof": page.proof, "target": "web_search"})).status == 403
        assert not row(house, "web_search")["draining"]
        tried, _ = json.loads((await visitor.get("/dashboard/tables/audit.json")).body)["rows"]
        assert (tried["who"], tried["target"], tried["outcome"]) == (
            "eve",
            "web_search",
            "refused: role_not_sufficient",
        )
        house.gateway._admin._people.accept(ClientKeys({}))
        assert (await visitor.get("/dashboard")).status == 401
    finally:
        await house.stop()


async def test_a_read_only_configuration_has_no_buttons(tmp_path: Path) -> None:
    """And takes no orders."""
    house = House(tmp_path, read_only=True)
    await house.start()
    try:
        visitor = visiting(house)
        await visitor.log_in()
        page = await visitor.get("/dashboard/backends")
        assert "/dashboard/do/" not in page.text
        answer = await visitor.post("/dashboard/do/open", {"proof": page.proof, "target": "web_search"})
        assert answer.status == 403
        assert row(house, "web_search")["breaker"]["state"] == "closed"  # type: ignore[index]
    finally:
        await house.stop()


async def test_without_a_key_the_machine_itself_may_operate(tmp_path: Path) -> None:
    """As the admin listener has it; forms need their proof all the same."""
    house = House(tmp_path, key=None)
    await house.start()
    try:
        visitor = visiting(house)
        page = await visitor.get("/dashboard/backends")
        assert page.status == 200
        assert "Log out" not in page.text
        assert (await visitor.post("/dashboard/do/drain", {"target": "web_search"})).status == 403
        assert (await visitor.post("/dashboard/do/drain", {"target": "web_search", "proof": page.proof})).status == 303
        assert row(house, "web_search")["draining"]
        rebound = Request("GET", "/dashboard", "", {b"host": b"attacker.example"})
        assert (await house.gateway.handle_admin(rebound)).status == 403
    finally:
        await house.stop()


async def test_every_table_is_json_and_csv_too(house: House, visitor: Visitor) -> None:
    """With the same rows; programs show the key as a bearer token."""
    await (await house.post("/v1/chat/completions", ASKED)).read()
    for name in SOURCES:
        told = await visitor.get(f"/dashboard/tables/{name}.json", authorization=f"Bearer {KEY}")
        rows = json.loads(told.body)["rows"]
        lines = await visitor.get(f"/dashboard/tables/{name}.csv", authorization=f"Bearer {KEY}")
        assert lines.headers["content-type"].startswith("text/csv")
        assert abs(len(list(csv.reader(io.StringIO(lines.text)))) - 1 - len(rows)) <= 1, name
    (answered,) = json.loads(
        (await visitor.get("/dashboard/tables/requests.json", authorization=f"Bearer {KEY}")).body
    )["rows"]
    assert answered["verdict"] == "success"
    assert answered["why"]


async def test_filters_stand_in_the_address(house: House, visitor: Visitor) -> None:
    """They narrow every table, survive in links, and nonsense is told as such."""
    for _ in range(3):
        await (await house.post("/v1/chat/completions", ASKED)).read()
    await visitor.log_in()
    told = json.loads((await visitor.get("/dashboard/tables/traffic.json?backend=web_search&range=15m")).body)["rows"]
    assert {one["backend_id"] for one in told} == {"web_search"}
    page = await visitor.get("/dashboard/requests?range=6h&backend=web_search")
    assert "/dashboard/cost?range=6h&amp;backend=web_search" in page.text
    assert json.loads((await visitor.get("/dashboard/tables/requests.json?tenant=nobody")).body)["rows"] == []
    assert (await visitor.get("/dashboard?range=2y")).status == 400
    assert (await visitor.get(f"/dashboard?backend={'x' * 200}")).status == 400


async def test_a_requests_story_tells_its_candidates(house: House, visitor: Visitor) -> None:
    """Who else could have been asked, the reason, the bill; an unknown id is a 404."""
    response = await house.post("/v1/chat/completions", ASKED)
    request_id = response.headers[b"x-request-id"].decode()
    await response.read()
    await visitor.log_in()
    text = read((await visitor.get(f"/dashboard/requests/{request_id}")).text).text
    for word in ("graph_deep", "web_search", "general_llm", "Why this backend", "Candidates"):
        assert word in text
    assert (await visitor.get("/dashboard/requests/nobody-knows")).status == 404
    tables = f"/dashboard/requests/{request_id}"
    rows = json.loads((await visitor.get(f"{tables}/candidates.json")).text)["rows"]
    assert [(row["attempt"], row["chosen"]) for row in rows if row["chosen"]] == [(1, "yes")]
    assert all(row["backend_id"] in text for row in rows)
    assert (await visitor.get(f"{tables}/candidates.csv")).text.splitlines()[0].startswith("attempt,backend_id,chosen,")
    assert json.loads((await visitor.get(f"{tables}/inner.json")).text)["rows"] == []
    for name in ("candidates.xml", "others.json"):
        assert (await visitor.get(f"{tables}/{name}")).status == 404
    assert (await visitor.get("/dashboard/requests/nobody-knows/candidates.json")).status == 404


async def test_what_is_not_there_is_said_so(visitor: Visitor) -> None:
    """Unknown pages, tables, files and methods."""
    await visitor.log_in()
    assert (await visitor.get("/")).headers["location"] == "/dashboard"
    for path in (
        "/dashboard/nothing",
        "/dashboard/tables/nothing.json",
        "/dashboard/tables/backends.exe",
        "/dashboard/static/..%2Fdashboard.py",
    ):
        assert (await visitor.get(path)).status == 404, path
    assert (await visitor._sent("PUT", "/dashboard", b"", {})).status == 405


async def test_an_unreadable_record_hides_nothing_else(
    house: House, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page still shows what is known without it, and says what cannot be read."""
    await visitor.log_in()
    assert house.estate.ledger is not None
    monkeypatch.setattr(house.estate.ledger.database, "path", Path("/nowhere/ledger.sqlite3"))
    answer = await visitor.get("/dashboard/reliability")
    assert answer.status == 200
    assert "cannot be read" in answer.text
