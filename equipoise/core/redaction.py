"""Takes secrets out of text that leaves the process for a log or a store."""

from __future__ import annotations

import re

MASK = "[redacted]"

# What keys look like (vendor prefixes with a long tail), what follows a scheme or a telling name, and passwords in URLs.
_VENDORS = r"""
    \b(?:sk|pk|pplx|xai|gsk|hf|ghp|glpat|xox[abp]|eqp)[-_](?-i:[A-Za-z0-9_\-*]{12,})
    | \b(?-i:AKIA|AIza)[A-Za-z0-9_\-]{12,}
"""
_SCHEMES = r"""
    (?<=bearer\ )[^\s"',;]{6,}
    | (?<=basic\ )[A-Za-z0-9+/=]{8,}
"""
_JWT = r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*"
_NAMED = r"""
    (?P<name>\b[\w\-]{0,40}(?:api[_\-]?key|secret|password|passwd|token|authorization)["']?\s*[=:]\s*["']?)
      (?!\[redacted\]|bearer\ |basic\ )[^\s"',;&)}]{4,}
    | (?P<user>://[^\s:/@]+:)[^\s/@]+(?=@)
"""
_FLAGS = re.IGNORECASE | re.VERBOSE
_SECRETS = re.compile("|".join((_VENDORS, _SCHEMES, _JWT, _NAMED)), _FLAGS)  # where two fit, the first one is taken
_LIKE_A_KEY = re.compile(f"{_VENDORS}|{_JWT}", _FLAGS)
_BEFORE_OTHERS = re.compile("[ =:]")
"""One of these stands in whatever a scheme or a name gives away."""


# Addresses, and numbers that may be a person's: telephones, dates, records, accounts, cards (five digits and more, in groups).
_PERSONS = re.compile(
    r"""
    [\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,8}
    | \b[A-Z]{2}\d{2}(?:\ ?[A-Z0-9]{4}){2,7}(?:\ ?[A-Z0-9]{1,4})?\b
    | (?:\d{1,3}\.){3}\d{1,3}
    | \+?\d(?:[\ \-./()]{0,2}\d){4,18}
    """,
    re.VERBOSE,
)


def _masked(found: re.Match[str]) -> str:
    return (found["name"] or found["user"] or "") + MASK


def printable(text: str, most: int) -> str:
    """A stranger's word, cut to so many characters, with what would steer a terminal or break a line replaced."""
    text = text[:most]
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def redact(text: str) -> str:
    """The same text with everything that looks like a key, a token or a password replaced by a mask."""
    if not _BEFORE_OTHERS.search(text) and not _LIKE_A_KEY.search(text):  # most words, at a tenth of the price
        return text
    return _SECRETS.sub(_masked, text)


def without_persons(text: str) -> str:
    """The same text with mail addresses, IP addresses and numbers of five digits and more masked.

    No names: whoever must be sure of those brings a function of his own.
    """
    return _PERSONS.sub(MASK, text)
