"""What can be switched wrong on a running sandbox backend, and what that does to a script."""

from __future__ import annotations

from typing import Any

import msgspec

from equipoise.sandbox.script import EVENTS, Ending, Script


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything off by default. Rates lie in [0, 1], times are seconds, `drip` is bytes a second.

    `cut_after_*` reset the connection after so much of the body (0: before the head), `stall_after_chunks` falls silent
    there; `malformed` breaks one piece in the middle, `unterminated` omits the proper end, `garbage` sends noise under
    the right content type, `no_context` gives the 200 that answers nothing, `refuse` closes the port for so long.
    Health probes are spared unless `probes` is set.
    """

    latency_factor: float = 1.0
    added_latency: float = 0.0
    error_rate: float = 0.0
    error_status: int = 500
    throttle_rate: float = 0.0
    retry_after: float | None = 1.0
    cut_rate: float = 1.0
    cut_after_bytes: int | None = None
    cut_after_chunks: int | None = None
    stall_after_chunks: int | None = None
    garbage: bool = False
    malformed: bool = False
    unterminated: bool = False
    no_context: bool = False
    drip: float | None = None
    refuse: float = 0.0
    probes: bool = False

    def merged(self, patch: dict[str, Any]) -> Faults:
        """These faults with a JSON merge patch applied (RFC 7396: null is the default again).

        Raises msgspec.ValidationError on an unknown name, a wrong type or a value out of range.
        """
        kept = {name: value for name, value in msgspec.structs.asdict(self).items() if name not in patch}
        merged = msgspec.convert(kept | {n: v for n, v in patch.items() if v is not None}, Faults)
        merged.check()
        return merged

    def check(self) -> None:
        """Raise msgspec.ValidationError when a number makes no sense."""
        for name in ("error_rate", "throttle_rate", "cut_rate"):
            _demand(0.0 <= getattr(self, name) <= 1.0, f"{name} must lie between 0 and 1")
        for name in ("latency_factor", "added_latency", "refuse"):
            _demand(0.0 <= getattr(self, name) <= 3600.0, f"{name} must lie between 0 and 3600")
        _demand(self.drip is None or self.drip > 0, "drip must be above 0 bytes a second")
        _demand(400 <= self.error_status <= 599, "error_status must be a status from 400 to 599")


def _demand(true: bool, message: str) -> None:
    if not true:
        raise msgspec.ValidationError(message)


def spoil(script: Script, faults: Faults, *, cut: bool = True) -> Script:
    """The script as the faults make it; `cut` says whether this request is among those to be cut."""
    for change in (slowed, noisy, broken, unended, dripping):
        script = change(script, faults)
    if cut:
        script = cut_by_bytes(cut_by_chunks(script, faults), faults)
    return silenced(script, faults)


def slowed(script: Script, faults: Faults) -> Script:
    """Every pause longer by the factor, the first one also by the added latency."""
    paused = [(seconds * faults.latency_factor, data) for seconds, data in script.pieces]
    paused[:1] = [(seconds + faults.added_latency, data) for seconds, data in paused[:1]]
    return _with(script, paused)


def noisy(script: Script, faults: Faults) -> Script:
    """Bytes of the same number that mean nothing."""
    if not faults.garbage:
        return script
    return _with(script, [(seconds, _noise(len(data))) for seconds, data in script.pieces])


def _noise(length: int) -> bytes:
    return bytes((position * 37 + 11) % 251 | 0x80 for position in range(length))


def broken(script: Script, faults: Faults) -> Script:
    """The middle piece without its second half, but with its line end."""
    if not faults.malformed:
        return script
    pieces = list(script.pieces)
    seconds, data = pieces[len(pieces) // 2]
    pieces[len(pieces) // 2] = (seconds, data[: len(data) // 2] + (b"\n\n" if script.streamed else b""))
    return _with(script, pieces)


def unended(script: Script, faults: Faults) -> Script:
    """Server-sent events without their last event; anything else without the second half of its last piece."""
    if not faults.unterminated:
        return script
    *before, (seconds, last) = script.pieces
    rest = [] if script.content_type == EVENTS else [(seconds, last[: len(last) // 2])]
    return _with(script, [*before, *rest])


def dripping(script: Script, faults: Faults) -> Script:
    """Twenty small packets a second at most, so many bytes a second in all."""
    if faults.drip is None:
        return script
    size = max(1, round(faults.drip / 20))
    dripped = [
        (_first_pause(i, seconds, size, faults.drip), data[i : i + size])
        for seconds, data in script.pieces
        for i in range(0, len(data), size)
    ]
    return msgspec.structs.replace(script, pieces=tuple(dripped), streamed=True)


def _first_pause(position: int, seconds: float, size: int, rate: float) -> float:
    return size / rate + (seconds if position == 0 else 0.0)


def cut_by_chunks(script: Script, faults: Faults) -> Script:
    """Reset after so many pieces."""
    if faults.cut_after_chunks is None:
        return script
    return msgspec.structs.replace(script, pieces=script.pieces[: faults.cut_after_chunks], ending=Ending.RESET)


def cut_by_bytes(script: Script, faults: Faults) -> Script:
    """Reset after so many bytes of the body."""
    if faults.cut_after_bytes is None:
        return script
    left, kept = faults.cut_after_bytes, []
    for seconds, data in script.pieces:
        kept.append((seconds, data[:left]))
        left -= len(data)
        if left <= 0:
            break
    return msgspec.structs.replace(script, pieces=tuple(p for p in kept if p[1]), ending=Ending.RESET)


def silenced(script: Script, faults: Faults) -> Script:
    """Nothing more after so many pieces, with the connection left open."""
    if faults.stall_after_chunks is None:
        return script
    return msgspec.structs.replace(script, pieces=script.pieces[: faults.stall_after_chunks], ending=Ending.STALL)


def _with(script: Script, pieces: list[tuple[float, bytes]]) -> Script:
    return msgspec.structs.replace(script, pieces=tuple(pieces))
