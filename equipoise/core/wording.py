"""Whether two questions that sound alike ask the same, word by word: a guard behind a likeness that sees the whole only.

Embeddings put "3 days" beside "30 days", "lock" beside "unlock" and "from A to B" beside "from B to A". So every word that
carries something must have a partner in the other question, in the same order: itself, or for a plain English word one
that means nearly the same (`alike` says how nearly). Numbers, names, negations, signs, tenses and what is no English have
no partner but themselves. Whatever is in doubt differs: asking once more is cheap, another question's answer is not.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

import msgspec

MOST_CHARACTERS = 600
"""A longer question says too much for a comparison by words; it is only ever itself."""
MOST_WORDS = 48
SHARED_END = 4
"""Words with so many last letters in common and different beginnings are of one root with other prefixes: un-, hypo-."""

Alike: TypeAlias = Callable[[str, str], float]
"""How near two words are in meaning: 1 for the same."""

NUMBER, NEGATION, NAME, SIGN, TENSE = "number", "negation", "name", "sign", "tense"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LIGHT = _set(
    "a an the of in on at for to with as do does is are am be been being it its there that this these those any some so "
    "and just please also s re ve ll m d um uh er hi hiya hello hey thanks thank cheers ok okay yeah what which how can "
    "could may might would if whether about get got obtain receive have has want like find see know tell go way possible "
    "able usually"
)
"""Words that carry nothing by themselves: the likeness of the whole looks at them."""
_SPEAKER, _ADDRESSED = _set("i me my mine we us our ours myself"), _set("you your yours")
_PERSONS = _SPEAKER | _ADDRESSED
_NEGATIONS = _set("no not never nor neither none nothing without except unless")
_PAST = _set("was were did had")
_ALSO_NAMES = _set("us it who")
"""In capitals these are the country, the trade and the organisation."""
_COUNTED = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "twenty": "20",
}  # fmt: skip
_ORDINALS = _set(
    "first second third fourth fifth sixth seventh eighth ninth tenth last next previous monday tuesday wednesday thursday "
    "friday saturday sunday january february march april june july august september october november december am pm "
    "dozen hundred thousand million billion half double triple"
)
"""Places in a row, as good as numbers."""
_OPPOSED = frozenset(
    frozenset(pair.split("/"))
    for pair in _set(
        "open/closed open/close on/off in/out up/down before/after more/less most/least best/worst better/worse start/stop "
        "begin/end start/end buy/sell add/remove allow/block allow/deny accept/decline accept/reject accept/refuse "
        "enable/disable include/exclude win/lose pass/fail push/pull send/receive borrow/lend rent/buy hot/cold high/low "
        "long/short old/new young/old early/late fast/slow cheap/expensive big/small large/small left/right north/south "
        "east/west husband/wife mother/father brother/sister son/daughter man/woman men/women boy/girl male/female "
        "parent/child king/queen day/night morning/evening today/tomorrow today/yesterday yesterday/tomorrow "
        "weekday/weekend public/private import/export upload/download sync/async true/false always/never all/some "
        "many/few multiply/divide add/subtract add/multiply add/divide cause/cure cause/prevent cause/treat treat/prevent "
        "give/take come/go gain/lose rise/fall"
    )
)

_CONTRACTED = re.compile(r"n['’]t\b", re.IGNORECASE)
_PIECE = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+|[^\w\s]|_")
_SIGNS = frozenset("+*/=<>^%$£€#@&|~\\{}[]_`§°")
_THOUSANDS = re.compile(r"^\d{1,3}(,\d{3})+$")


class Word(msgspec.Struct, frozen=True):
    """One word that carries something; one that is `fixed` (a number, a negation, a name, a sign) is only ever itself."""

    text: str
    fixed: str = ""


class Wording(msgspec.Struct, frozen=True):
    """What a question says, in order, and who is spoken of in it; `plain` is all of it without capitals and stops."""

    words: tuple[Word, ...]
    persons: frozenset[str]
    plain: str


def read_wording(text: str) -> Wording | None:
    """Return the words of a question that carry something; None where there are none, or too many to compare."""
    if len(text) > MOST_CHARACTERS:
        return None
    pieces = _pieces(text)
    words = tuple(word for word in map(_word, pieces) if word is not None)
    if not 0 < len(words) <= MOST_WORDS:
        return None
    said = [piece.lower() for piece, _ in pieces if piece[0].isalnum() or piece in _SIGNS]
    persons = {"speaker": _SPEAKER, "addressed": _ADDRESSED}
    found = frozenset(person for person, own in persons.items() if not own.isdisjoint(said))
    return Wording(words, found, " ".join(said))


def difference(one: Wording, other: Wording, alike: Alike, nearest: float) -> str | None:
    """Return what these ask differently: number, negation, tense, name, sign, word, order or person; None for nothing.

    Words are partners when they are the same, or when `alike` says at least `nearest` of them.
    """
    if one.persons and other.persons and not one.persons & other.persons:
        return "person"
    own, others = Counter(one.words), Counter(other.words)
    partners = _partners(list((own - others).elements()), list((others - own).elements()), alike, nearest)
    if isinstance(partners, str):
        return partners
    return None if _same_order([partners.get(word, word) for word in one.words], list(other.words)) else "order"


def _pieces(text: str) -> list[tuple[str, bool]]:
    """Words, numbers and signs, each with whether it stands where a capital letter says that it is a name."""
    plain = _CONTRACTED.sub(" not", unicodedata.normalize("NFKC", text).replace("cannot", "can not"))
    found: list[tuple[str, bool]] = []
    beginning = True
    for match in _PIECE.finditer(plain):
        piece = match.group()
        if piece == "-":
            if plain[match.end() : match.end() + 1].isdigit() and not plain[: match.start()][-1:].isalnum():
                found.append((piece, False))
            continue
        capital = piece[0].isupper()
        found.append((piece, capital and (not beginning or (len(piece) > 1 and piece.isupper()))))
        beginning = piece in ".!?:"
    return found


def _word(piece: tuple[str, bool]) -> Word | None:
    text, name = piece
    lower = text.lower()
    if not text[0].isalnum():
        return Word(text, SIGN) if text in _SIGNS or text == "-" else None
    if text[0].isdigit():
        return Word(text.replace(",", "") if _THOUSANDS.match(text) else text, NUMBER)
    if lower in _COUNTED or lower in _ORDINALS:
        return Word(_COUNTED.get(lower, lower), NUMBER)
    if lower in _NEGATIONS:
        return Word(lower, NEGATION)
    if name and text.isupper() and lower in _ALSO_NAMES:
        return Word(text, NAME)
    if lower in _LIGHT or lower in _PERSONS:
        return None
    if lower in _PAST:
        return Word("was", TENSE)
    return Word(_singular(lower), NAME if name or not _plain(lower) else "")


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    return word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]


def _plain(word: str) -> bool:
    return word.isascii() and 2 < len(word) <= 20


def _partners(mine: list[Word], yours: list[Word], alike: Alike, nearest: float) -> dict[Word, Word] | str:
    """A partner for each word that only one of the questions has, or what kind of word has none."""
    # A capital at the beginning of a sentence says nothing: the same word is its own partner, name or not.
    found: dict[Word, Word] = {}
    for word in list(mine):
        same = next((each for each in yours if each.text == word.text), None)
        if same is not None:
            found[word] = same
            mine.remove(word)
            yours.remove(same)
    for word in mine:
        best = max(yours, key=lambda each: _nearness(word, each, alike), default=None)
        if best is None or _nearness(word, best, alike) < nearest:
            return _kind([word, *yours])
        found[word] = best
        yours.remove(best)
    return _kind(yours) if yours else found


def _nearness(one: Word, other: Word, alike: Alike) -> float:
    if one.fixed or other.fixed or _opposed(one.text, other.text):
        return -1.0
    return alike(one.text, other.text)


def _opposed(one: str, other: str) -> bool:
    """Known opposites, and one root with different beginnings."""
    if frozenset((one, other)) in _OPPOSED:
        return True
    shared = 0
    while shared < min(len(one), len(other)) and one[-1 - shared] == other[-1 - shared]:
        shared += 1
    return shared >= SHARED_END


def _kind(words: list[Word]) -> str:
    kinds = {word.fixed for word in words}
    return next((kind for kind in (NUMBER, NEGATION, TENSE, NAME, SIGN) if kind in kinds), "word")


def _same_order(one: list[Word], other: list[Word]) -> bool:
    """The same words one after the other, or with one part of a longer question said first instead of last.

    With names or numbers a longer one is needed: "London flight to Paris" is a turn of "flight to Paris from London".
    """
    mine, yours = [word.text for word in one], [word.text for word in other]
    if mine == yours:
        return True
    if len(mine) < (4 if any(word.fixed for word in other) else 3):
        return False
    return any(mine[cut:] + mine[:cut] == yours for cut in range(1, len(mine)))
