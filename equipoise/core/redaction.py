"""Takes secrets out of text that leaves the process for a log or a store."""

from __future__ import annotations

import re

MASK = "[redacted]"

# What keys look like (vendor prefixes with a long tail), what follows a scheme or a telling name, and passwords in URLs.
_SECRETS = re.compile(
    r"""
    \b(?:sk|pk|pplx|xai|gsk|hf|ghp|glpat|xox[abp]|eqp)[-_](?-i:[A-Za-z0-9_\-*]{12,})
    | \b(?-i:AKIA|AIza)[A-Za-z0-9_\-]{12,}
    | (?<=bearer\ )[^\s"',;]{6,}
    | (?<=basic\ )[A-Za-z0-9+/=]{8,}
    | \beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*
    | (?P<name>\b[\w\-]{0,40}(?:api[_\-]?key|secret|password|passwd|token|authorization)["']?\s*[=:]\s*["']?)
      (?!\[redacted\]|bearer\ |basic\ )[^\s"',;&)}]{4,}
    | (?P<user>://[^\s:/@]+:)[^\s/@]+(?=@)
    """,
    re.IGNORECASE | re.VERBOSE,
)


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
    return _SECRETS.sub(_masked, text)


def without_persons(text: str) -> str:
    """The same text with mail addresses, IP addresses and numbers of five digits and more masked.

    No names: whoever must be sure of those brings a function of his own.
    """
    return _PERSONS.sub(MASK, text)
