"""The frame around every page: menu, filters, what goes on; works without scripts."""

from __future__ import annotations

from collections.abc import Sequence

from equipoise.dashboard.filters import RANGES, VERDICTS, path_of
from equipoise.dashboard.markup import Child, Markup, join, tag
from equipoise.dashboard.view import Page, View
from equipoise.dashboard.wording import instant

DOCTYPE = Markup("<!doctype html>\n")
KEYS = (
    ("/", "go to the filters"), ("?", "these keys"), ("r", "stop or start looking again every few seconds"),
    ("g o", "overview"), ("g b", "backends"), ("g r", "requests"), ("g c", "cost"),
)  # fmt: skip


def document(title: str, *body: Child) -> bytes:
    """A whole document with our two files, and nothing from anywhere else."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} · Equipoise"),
        tag("link", rel="icon", type="image/svg+xml", href=path_of("static", "icon.svg")),
        tag("link", rel="stylesheet", href=path_of("static", "dashboard.css")),
        tag("script", src=path_of("static", "dashboard.js"), defer=True),
    )
    return join([DOCTYPE, tag("html", head, tag("body", *body), lang="en")]).encode("utf-8", "replace")


def framed(page: Page, pages: Sequence[Page], view: View, inside: Child, *, title: str = "") -> bytes:
    """A page in its frame."""
    main = tag(
        "main", tag("div", tag("h1", title or page.title), _when(view), class_="head"), inside, id="main", tabindex="-1"
    )
    return document(
        title or page.title,
        tag("a", "To the content", href="#main", class_="skip"),
        _header(page, pages, view),
        _filters(page, view),
        main,
        _help(),
    )


def _header(page: Page, pages: Sequence[Page], view: View) -> Markup:
    entries = [
        tag(
            "li",
            tag(
                "a",
                one.title,
                href=view.link(*(one.name,) if one.name else ()),
                aria_current="page" if one.name == page.name else None,
                data_page=one.name or "overview",
            ),
        )
        for one in pages
    ]
    leave = tag(
        "form",
        tag("input", type="hidden", name="proof", value=view.proof),
        tag("button", "Log out", type="submit"),
        method="post",
        action=path_of("logout"),
        class_="act",
    )
    who = dict.fromkeys(("as", view.person.key, str(view.person.role)))
    word = " ".join(who) + (", read-only" if view.read_only else "")
    name = tag(
        "a",
        tag("img", src=path_of("static", "icon.svg"), alt="", width=22, height=22),
        " Equipoise",
        href=view.link(),
        class_="brand",
    )
    return tag(
        "header",
        name,
        tag("nav", tag("ul", entries), aria_label="Pages"),
        tag("div", tag("span", word, class_="role"), leave if view.logged_in else None, class_="who"),
    )


def _when(view: View) -> Markup:
    again = tag("button", "Pause", type="button", id="again", aria_pressed="false", hidden=True)
    return tag("p", tag("span", f"as of {instant(view.now)}", id="as-of"), " ", again, class_="when")


def _filters(page: Page, view: View) -> Markup:
    if not page.filters:
        return Markup("")
    of = view.filters
    fields = [_choice("range", "Range", list(RANGES), of.range)]
    fields += [
        _word(name, name.capitalize(), getattr(of, name))
        for name in ("backend", "route", "tenant")
        if name in page.filters
    ]
    if "verdict" in page.filters:
        fields.append(_choice("verdict", "Came to", ["", *VERDICTS], of.verdict))
    clear = (
        tag("a", "Clear", href=path_of(*((page.name,) if page.name else ())), class_="clear") if of.query() else None
    )
    return tag(
        "form",
        fields,
        tag("button", "Show", type="submit"),
        clear,
        method="get",
        action=path_of(*((page.name,) if page.name else ())),
        class_="filters",
        role="search",
        aria_label="Filters",
    )


def _choice(name: str, title: str, values: Sequence[str], chosen: str) -> Markup:
    options = [
        tag("option", (value or "anything").replace("_", " "), value=value, selected=value == chosen)
        for value in values
    ]
    return tag("label", title, tag("select", options, name=name))


def _word(name: str, title: str, value: str) -> Markup:
    return tag(
        "label",
        title,
        tag(
            "input",
            type="text",
            name=name,
            value=value,
            placeholder="all",
            maxlength=128,
            autocomplete="off",
            spellcheck="false",
        ),
    )


def _help() -> Markup:
    rows = [join([tag("dt", tag("kbd", keys)), tag("dd", what)]) for keys, what in KEYS]
    return tag(
        "dialog",
        tag("h2", "Keys"),
        tag("dl", rows),
        tag("form", tag("button", "Close"), method="dialog"),
        id="keys",
        aria_label="Keys",
    )


def login(problem: str = "") -> bytes:
    """Asks for the admin key."""
    label = tag(
        "label",
        "Admin key",
        tag(
            "input",
            type="password",
            name="key",
            autocomplete="current-password",
            required=True,
            maxlength=1024,
            autofocus=True,
        ),
    )
    form = tag(
        "form", label, tag("button", "Log in", type="submit"), method="post", action=path_of("login"), class_="login"
    )
    hint = tag(
        "p",
        "It is the value of ",
        tag("code", "listen.admin_key"),
        " or ",
        tag("code", "EQUIPOISE_ADMIN_KEY"),
        ".",
        class_="note",
    )
    wrong = tag("p", problem, role="alert", class_="problem") if problem else None
    return document("Log in", tag("main", tag("h1", "Equipoise"), wrong, form, hint, class_="alone", id="main"))


def trouble(title: str, text: str) -> bytes:
    """A page that says what is wrong and leads back."""
    return document(
        title,
        tag(
            "main",
            tag("h1", title),
            tag("p", text, role="alert"),
            tag("p", tag("a", "To the overview", href=path_of())),
            class_="alone",
            id="main",
        ),
    )
