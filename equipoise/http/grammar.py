"""RFC 9112 without its leniencies: what a request head may look like, and how long the body behind it is.

One expression admits the strict grammar and shows where the head ends; what it refuses is refused. llhttp, which is
more lenient, is the judge in the tests: it must accept, and read alike, whatever is admitted here (ADR 0002).
"""

from __future__ import annotations

import re
from typing import Final

from equipoise.http.messages import BadRequest, Headers, ServerLimits

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# Possessive quantifiers: no input makes this backtrack, so its time is linear in the head. One empty line before the
# request line is allowed (RFC 9112, 2.2). The target has no # in it. Values
# admit obs-text, but neither CR, LF, NUL nor folding.
HEAD: Final = re.compile(
    rb"(?:\r\n)?+(" + TOKEN + rb" [\x21\x22\x24-\x7e]++) HTTP/1\.([01])\r\n"
    rb"((?:" + TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+\r\n)*+)\r\n"
)
OTHER_VERSION: Final = re.compile(rb"(?:\r\n)?+" + TOKEN + rb" [\x21-\x7e]++ HTTP/[0-9]\.[0-9]\r\n")
BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
TABBED_FRAMING: Final = re.compile(rb"(?:content-length|transfer-encoding):[^\r\n]*\t", re.IGNORECASE)
AUTHORITY: Final = re.compile(
    rb"(?:[A-Za-z0-9\-._~%!$&'()*+;=]++|\[[0-9A-Fa-f:.]++(?:%25[A-Za-z0-9\-._~]++)?+\])(?::[0-9]{0,5}+)?+"
)
ABSOLUTE: Final = re.compile(r"https?://([^/?#@]++)(/[^?#]*+)?+(?:\?([^#]*+))?+", re.IGNORECASE)
LONGEST_NUMBER: Final = 18
BODILESS: Final = 0
CHUNKED: Final = -1


# What was found good is not checked again; cleared when full, so that strangers cannot make it grow.
REMEMBERED: Final = 512
LONGEST_REMEMBERED: Final = 256
KNOWN_TARGETS: Final[dict[bytes, tuple[str, str, str]]] = {}
GOOD_HOSTS: Final[set[bytes | None]] = set()


def split_fields(block: bytes) -> Headers:
    """The fields of a block that `HEAD` has admitted."""
    headers: Headers = {}
    for line in block.split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in headers:
            headers[name] += b", " + value.strip()
        else:
            headers[name] = value.strip()
    del headers[b""]  # behind the last line break
    return headers


def read_target(line: bytes, headers: Headers) -> tuple[str, str, str]:
    """Method, path and query that `METHOD target` asks for; raises BadRequest."""
    method, _, target = line.decode("ascii").partition(" ")
    asked = (method, *split_target(target, method, headers))
    if target[0] == "/" and len(line) <= LONGEST_REMEMBERED:  # the absolute form depends on Host
        if len(KNOWN_TARGETS) >= REMEMBERED:
            KNOWN_TARGETS.clear()
        KNOWN_TARGETS[line] = asked
    return asked


def check_host(host: bytes | None, minor_version: bytes) -> None:
    """Exactly one well-formed Host (RFC 9112, 3.2); joined duplicates are not well-formed."""
    if host is None:
        if minor_version == b"1":
            raise BadRequest(400, "HTTP/1.1 needs a Host field.")
        return
    if host and AUTHORITY.fullmatch(host) is None:
        raise BadRequest(400, "Host is not one name with an optional port.")
    if len(GOOD_HOSTS) >= REMEMBERED:
        GOOD_HOSTS.clear()
    if len(host) <= LONGEST_REMEMBERED:
        GOOD_HOSTS.add(host)


def split_target(target: str, method: str, headers: Headers) -> tuple[str, str]:
    """Path and query of a request target in origin, absolute or (OPTIONS) asterisk form."""
    if target[0] == "/":
        path, _, query = target.partition("?")
        return path, query
    if target == "*" and method == "OPTIONS":
        return target, ""
    absolute = ABSOLUTE.fullmatch(target)
    if absolute is None or method == "CONNECT":
        raise BadRequest(400, "The request target is not one this server answers.")
    # RFC 9112, 3.2.2 lets the target win over Host. Two names for one request are how caches get poisoned: refuse.
    if absolute[1].lower().encode() != headers.get(b"host", b"").lower():
        raise BadRequest(400, "The request target and Host name different servers.")
    return absolute[2] or "/", absolute[3] or ""


def body_length(headers: Headers, minor_version: bytes, limits: ServerLimits) -> int:
    """How the body is framed: its length, or CHUNKED. Anything that two servers could read differently is refused."""
    coding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    if coding is None and length is None:
        return BODILESS
    if coding is None:
        return declared_length(length or b"", limits)
    if length is not None:
        raise BadRequest(400, "Content-Length and Transfer-Encoding exclude each other.")
    if minor_version == b"0":
        raise BadRequest(400, "HTTP/1.0 has no Transfer-Encoding.")
    if coding.lower() != b"chunked":
        status = 400 if b"chunked" in coding.lower() else 501
        raise BadRequest(status, "The only Transfer-Encoding known here is a single chunked.")
    return CHUNKED


def declared_length(value: bytes, limits: ServerLimits) -> int:
    """Content-Length as a number; a list, even of equal numbers, is refused."""
    if not value.isdigit() or len(value) > LONGEST_NUMBER:
        raise BadRequest(400, "Content-Length is not one decimal number.")
    length = int(value)
    if length > limits.body_bytes:
        raise BadRequest(413, f"The body may have at most {limits.body_bytes} bytes.")
    return length


def check_expectation(expectation: bytes | None) -> bool:
    """Whether the client waits to be told to go on with its body."""
    if expectation is None:
        return False
    if expectation.lower() != b"100-continue":
        raise BadRequest(417, "The only expectation known here is 100-continue.")
    return True


def check_fields(line: bytes, fields: bytes, limits: ServerLimits) -> None:
    """Request line, number of fields and their bytes; and the one white space that servers disagree about."""
    if len(line) + 9 > limits.request_line:
        raise BadRequest(414, f"The request line may have at most {limits.request_line} bytes.")
    if len(fields) > limits.header_bytes:
        raise BadRequest(431, f"The header fields may have at most {limits.header_bytes} bytes.")
    if fields.count(b"\n") > limits.header_count:
        raise BadRequest(431, f"There may be at most {limits.header_count} header fields.")
    if fields.find(b"\t") >= 0 and TABBED_FRAMING.search(fields):
        raise BadRequest(400, "There is a tab in a field that frames the message.")


def refuse_fragment(buffer: bytes, searched: int, limits: ServerLimits) -> None:
    """Refuse a head that is not complete yet but can never become good, or has grown too large."""
    line_end = buffer.find(b"\r\n", 2)
    if (line_end if line_end >= 0 else len(buffer)) > limits.request_line:
        raise BadRequest(414, f"The request line may have at most {limits.request_line} bytes.")
    if len(buffer) > limits.request_line + limits.header_bytes:
        raise BadRequest(431, f"The header fields may have at most {limits.header_bytes} bytes.")
    if BARE_LINE_FEED.search(buffer, max(0, searched - 1)):
        raise BadRequest(400, "Lines end with CR LF.")


def refuse_head(buffer: bytes) -> BadRequest:
    """Why a complete head did not match: said as well as can be told."""
    if OTHER_VERSION.match(buffer):
        version = buffer[buffer.index(b"HTTP/") : buffer.index(b"\r\n", 2)]
        if not version.startswith(b"HTTP/1."):
            return BadRequest(505, "This server speaks HTTP/1.1.")
    return BadRequest(400, "The head of the request is malformed.")
