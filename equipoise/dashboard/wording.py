"""Numbers, times and states as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

NOTHING = "–"
PREFIXES = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
"""From where on, by what, with which letter."""


def number(value: float | None) -> str:
    """Three significant figures, thousands as k, M, G."""
    if value is None:
        return NOTHING
    for least, size, prefix in PREFIXES:
        if abs(value) >= least:
            return f"{value / size:.3g}{prefix}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"


def seconds(value: float | None) -> str:
    """Milliseconds below one second, then seconds, minutes, hours, days."""
    if value is None:
        return NOTHING
    value = float(value)
    if value < 1.0:
        return f"{value * 1e3:.3g} ms" if value * 1e3 < 999.5 else "1.00 s"
    if value < 120.0:
        return (
            f"{value:.2f} s"
            if value < 10
            else f"{value:.0f} s"
            if value.is_integer() or value >= 99.5
            else f"{value:.1f} s"
        )
    for size, name in ((86_400.0, "d"), (3_600.0, "h")):
        if value >= 2 * size:
            return f"{value / size:.1f} {name}"
    return f"{value / 60.0:.0f} min"


def usd(value: float | None) -> str:
    """Dollars, to the cent from ten cents on, else to two significant figures."""
    if value is None:
        return NOTHING
    if value == 0 or abs(value) >= 0.1:
        return f"${value:,.2f}"
    return f"${value:.7f}".rstrip("0") if abs(value) < 1e-5 else f"${float(f'{value:.2g}'):f}".rstrip("0")


def percent(share: float | None) -> str:
    """A share as a percentage; the decimals that tell it from 0 and from 100."""
    if share is None:
        return NOTHING
    value = share * 100.0
    return f"{value:.0f} %" if value in (0.0, 100.0) or 10 <= value <= 90 else f"{value:.1f} %"


def instant(wall: float | None) -> str:
    """A moment as ISO 8601, UTC, to the second."""
    return NOTHING if not wall else datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def clock(wall: float | None) -> str:
    """The time of day, UTC."""
    return NOTHING if not wall else datetime.fromtimestamp(wall, UTC).strftime("%H:%M:%S")


def tick(wall: float, span: float) -> str:
    """A label for a time axis: as fine as its span needs."""
    form = "%H:%M:%S" if span <= 600 else "%H:%M" if span <= 2 * 86_400 else "%d %b"
    return datetime.fromtimestamp(wall, UTC).strftime(form)


def plain(value: Any) -> str:
    """Anything else."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or NOTHING
    return str(value)


FORMS = {"number": number, "seconds": seconds, "usd": usd, "percent": percent, "instant": instant, "clock": clock}


def written(value: Any, form: str) -> str:
    """A value in one of FORMS; whatever is no number is written plainly."""
    of = FORMS.get(form)
    return (
        of(value) if of is not None and isinstance(value, int | float) and not isinstance(value, bool) else plain(value)
    )
