"""Logins: bounded in number and time; forms that are not ours are told from those that are."""

from __future__ import annotations

from equipoise.dashboard import guessing, sessions
from equipoise.dashboard.guessing import Guesses
from equipoise.dashboard.sessions import COOKIE, Sessions
from equipoise.http import Request

KEY = b"an-admin-key"


class Now:
    """A clock that is set."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


def showing(token: str) -> Request:
    return Request("GET", "/dashboard", "", {b"cookie": f"other=1; {COOKIE}={token}".encode()})


def test_a_session_ends_by_itself() -> None:
    """After an hour unused, and after twelve in any case."""
    now = Now()
    known = Sessions(now)
    token = known.begin(KEY)
    for now.at in range(0, int(sessions.LONGEST), 3000):
        assert known.key(showing(token)) == KEY
    now.at = sessions.LONGEST + 1
    assert known.key(showing(token)) is None
    token = known.begin(KEY)
    now.at += sessions.IDLE + 1
    assert known.key(showing(token)) is None


def test_there_are_never_more_than_so_many() -> None:
    """The one unused for longest goes."""
    known = Sessions(Now())
    first, second = known.begin(KEY), known.begin(KEY)
    assert known.key(showing(first)) is not None
    for _ in range(sessions.MOST - 1):
        known.begin(KEY)
    assert known.key(showing(first)) is not None
    assert known.key(showing(second)) is None


def test_logging_out_ends_it() -> None:
    """At once, for everybody who holds the cookie."""
    known = Sessions(Now())
    token = known.begin(KEY)
    known.end(showing(token))
    assert known.key(showing(token)) is None


def test_a_proof_is_of_one_session() -> None:
    """Another session's, another process's, and none are no proof."""
    known, other = Sessions(Now()), Sessions(Now())
    mine, yours = (showing(known.begin(KEY)) for _ in range(2))
    assert known.proves(mine, known.proof(mine))
    assert not known.proves(mine, known.proof(yours))
    assert not known.proves(mine, other.proof(mine))
    assert not known.proves(mine, "")
    assert not known.proves(showing(""), known.proof(mine))


def test_a_key_can_be_read_only_with_its_cookie() -> None:
    """What is kept holds neither the key nor the token."""
    known = Sessions(Now())
    token = known.begin(KEY)
    assert known.key(showing(token)) == KEY
    ((place, session),) = known._known.items()
    for kept in (place, session.sealed, repr(session).encode()):
        assert KEY not in kept
        assert token.encode() not in kept


def test_no_token_is_kept_in_a_cookie_that_scripts_can_read() -> None:
    """HttpOnly, SameSite=Strict, for our pages only; Secure where it can be."""
    said = sessions.given("t", secure=True).decode()
    for word in ("HttpOnly", "SameSite=Strict", "Path=/dashboard", "Secure", "Max-Age="):
        assert word in said
    assert "Secure" not in sessions.given("t", secure=False).decode()


def test_broken_cookies_are_none() -> None:
    """Whatever a client sends."""
    for said in (b"", b"\xff\xfe", b"=;=;", b'equipoise_session="', b"a" * 10_000):
        assert Sessions(Now()).key(Request("GET", "/", "", {b"cookie": said})) is None


def test_who_guesses_makes_nobody_else_wait() -> None:
    """After some wrong keys their address waits for a minute; the owner of the right one, elsewhere, does not."""
    now = Now()
    guesses = Guesses(now)
    for _ in range(guessing.MOST_WRONG):
        assert not guesses.too_many("10.0.0.6")
        guesses.wrong("10.0.0.6")
    assert guesses.too_many("10.0.0.6")
    assert not guesses.too_many("10.0.0.7")
    now.at = guessing.WRONG_SECONDS
    assert not guesses.too_many("10.0.0.6")


def test_addresses_that_guessed_are_bounded() -> None:
    """However many there are."""
    guesses = Guesses(Now())
    for number in range(2 * guessing.MOST_ADDRESSES):
        guesses.wrong(f"10.0.{number}")
    assert len(guesses._wrong) == guessing.MOST_ADDRESSES
