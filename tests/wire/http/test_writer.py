"""What the server and the client write of header fields."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from equipoise.http.writer import FRAMING, IN_RESPONSES, TOKEN, field_lines

ANY_BYTES = st.binary(max_size=12) | st.text("a\r\n\0: ", max_size=12).map(str.encode)
NAMES = st.sampled_from([b"x-a", b"X-B", b"date", b"Content-Length"]) | ANY_BYTES


@given(st.lists(st.tuples(NAMES, ANY_BYTES), max_size=5))
def test_each_field_is_one_line_or_all_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """Whatever stands in a value, no second line, no NUL and no field that frames the message comes of it."""
    fit = all(
        TOKEN.fullmatch(name) and not any(sign in value for sign in (b"\r", b"\n", b"\0")) for name, value in headers
    )
    kept = [(name, value) for name, value in headers if name.lower() not in FRAMING]
    try:
        block = field_lines(headers, IN_RESPONSES)
    except ValueError:
        assert not fit
        return
    assert block == b"".join(b"%b: %b\r\n" % field for field in kept)
    assert block.count(b"\n") == block.count(b"\r") == len(kept)
    assert b"\0" not in block
