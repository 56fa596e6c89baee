"""What the dashboard answers with: pages, files, redirections, all with the same fence around them."""

from __future__ import annotations

from functools import cache
from importlib import resources

from equipoise.dashboard import layout
from equipoise.http import Response

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Not no-referrer: a browser would then send `Origin: null` with a form, and the listener could not tell ours from others'.
FENCE = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
NO_STORE = (b"cache-control", b"no-store")
TYPES = {
    "html": b"text/html; charset=utf-8", "json": b"application/json", "csv": b"text/csv; charset=utf-8",
    "css": b"text/css; charset=utf-8", "js": b"text/javascript; charset=utf-8", "svg": b"image/svg+xml",
}  # fmt: skip
ASSETS = ("dashboard.css", "dashboard.js", "icon.svg")


def page(body: bytes, status: int = 200) -> Response:
    """A document; never kept by anybody."""
    return Response(status, ((b"content-type", TYPES["html"]), NO_STORE, *FENCE), body)


def file(name: str, body: bytes) -> Response:
    """A table to be saved under its name."""
    kind = TYPES[name.rpartition(".")[2]]
    shown = b"attachment" if name.endswith(".csv") else b"inline"
    disposition = shown + b'; filename="' + name.encode() + b'"'
    return Response(200, ((b"content-type", kind), (b"content-disposition", disposition), NO_STORE, *FENCE), body)


def elsewhere(path: str, *more: tuple[bytes, bytes]) -> Response:
    """Go there with a GET."""
    return Response(303, ((b"location", path.encode("ascii")), NO_STORE, *FENCE, *more))


def trouble(status: int, title: str, text: str) -> Response:
    """A page that says what is wrong."""
    return page(layout.trouble(title, text), status)


def asset(name: str) -> Response:
    """One of our own files."""
    if name not in ASSETS:
        return trouble(404, "Not found", "There is no such file.")
    kind = (b"content-type", TYPES[name.rpartition(".")[2]])
    return Response(200, (kind, (b"cache-control", b"private, max-age=60"), *FENCE), _read(name))


@cache
def _read(name: str) -> bytes:
    return resources.files("equipoise.dashboard").joinpath("static", name).read_bytes()
