"""What a text is made of, as far as rules can tell: words that carry meaning, numbers, names, sentences, source marks."""

from __future__ import annotations

import re
import string

STOP_WORD_LINES = """
a about above after again against all also although am among an and any are as at be because been before being below
between both but by can cannot could did do does doing done down during each either etc ever every few for from
further had has have having he her here hers him his how however i if in into is it its itself just like many may
me might mine more most much must my neither no nor not now of off often on once one only or other others our ours
out over own per quite rather same shall she should since so some such than that the their theirs them then there
therefore these they this those through thus to too under until up upon us very via was we were what when where
whether which while who whom whose why will with within without would yes yet you your yours
"""
STOP_WORDS = frozenset(STOP_WORD_LINES.split())
"""Words of English that say nothing of their own."""

MARK = re.compile(r"\[\^?(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\]")
"""A mark such as [1], [1, 2], [1-3] or [^1]."""

_REFERENCES = re.compile(r"^\W{0,6}(?:references|sources|citations|bibliography)\W{0,4}$", re.IGNORECASE | re.MULTILINE)
# Of all of ASCII: what a table lacks costs a swallowed exception for each letter.
_APART = {code: " " if chr(code) in string.punctuation.replace("'", "") else chr(code) for code in range(128)}
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_LATE_MARK = re.compile(r"([.!?])((?:\s*\[\^?\d[\d,;\s–-]*\])+)")
_CAPITAL = re.compile(r"[^\W_]*[A-Z][^\W_]*")
_BEFORE_A_SENTENCE = ("", ".", "!", "?", ":", "*", "#", "-", '"')
_ENDINGS = ("ing", "ed", "es", "s")


def words(text: str) -> list[str]:
    """All words in lower case, without a genitive's ending. Plain ASCII, the usual case, is split without a search."""
    lower = text.lower().replace("’", "'").replace("'s ", " ")
    return lower.translate(_APART).split() if lower.isascii() else _WORD.findall(lower)


def stem(word: str) -> str:
    """A word without the commonest endings of English, so that `rises` and `rising` meet."""
    if not word.endswith(_ENDINGS):
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def meaning(found: list[str]) -> frozenset[str]:
    """The stems of the words that carry meaning; numbers are not among them."""
    return frozenset([stem(word) for word in set(found) - STOP_WORDS if not word.isdigit()])


def numbers(text: str) -> frozenset[str]:
    """The numbers of a text in one writing: 1,200.50 and 1200.5 are the same. Marks such as [1] are for the caller to remove."""
    return frozenset([_plain(found) for found in _NUMBER.findall(text)])


def _plain(number: str) -> str:
    number = number.replace(",", "").lstrip("+")
    return number.rstrip("0").rstrip(".") if "." in number else number


def names(text: str) -> frozenset[str]:
    """Words that name something, in lower case: capitals within a sentence, acronyms, letters with digits (CO2)."""
    found = [match[0].lower() for match in _CAPITAL.finditer(text) if _is_name(match[0], text[: match.start()][-3:])]
    return frozenset(found) - STOP_WORDS


def proper_names(text: str) -> frozenset[str]:
    """Of the names those written like a person's or a place's, in lower case; acronyms have a long form too."""
    found = [match for match in _CAPITAL.finditer(text) if len(match[0]) > 3 and match[0][1:].islower()]
    return frozenset([m[0].lower() for m in found if _is_name(m[0], text[: m.start()][-3:])]) - STOP_WORDS


def _is_name(word: str, before: str) -> bool:
    begins_a_sentence = "\n" in before or before.rstrip()[-1:] in _BEFORE_A_SENTENCE
    return not (begins_a_sentence and (len(word) == 1 or word[1:].islower()))


def sentences(text: str) -> list[str]:
    """A text cut at full stops and line ends; marks behind a full stop belong to the sentence before it."""
    return [piece for piece in map(str.strip, _SENTENCE.split(_LATE_MARK.sub(r"\2\1", text))) if piece]


def body_of(text: str) -> str:
    """A text without the list of references at its end."""
    starts = [found.start() for found in _REFERENCES.finditer(text)]
    return text[: starts[-1]] if starts and starts[-1] > 0 else text


def marks(text: str) -> list[int]:
    """The numbers of the sources that a text cites, in order, ranges written out (at most ten of a range)."""
    found: list[int] = []
    for group in MARK.findall(text):
        for part in re.split(r"\s*[,;]\s*", group):
            first, _, last = part.replace("–", "-").partition("-")
            low, high = int(first), int(last or first)
            found += range(low, min(high, low + 9) + 1) if high >= low else (low, high)
    return found


def unmarked(text: str) -> str:
    """A text without its marks."""
    return MARK.sub(" ", text)
