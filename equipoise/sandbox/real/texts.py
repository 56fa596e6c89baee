"""What is ingested and what is asked: our own short texts, or a directory of the user's."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec

from equipoise.sandbox.real import rules

OWN_TEXTS = Path(__file__).parent / "corpus"
QUESTIONS_FILE = "questions.txt"
SUFFIXES = (".txt", ".md")
LARGEST_TEXT = 200_000
MOST_TEXTS = 200
QUESTIONS_A_TEXT = 3


class Corpus(msgspec.Struct, frozen=True):
    """Texts by file name, and questions about them."""

    texts: dict[str, str]
    questions: list[str]


class NoCorpus(Exception):
    """The directory holds no texts that can be used; the message says why."""


def read_corpus(directory: Path | None) -> Corpus:
    """All .txt and .md files of a directory; the questions of its questions.txt, one to the line, then more about terms.

    Raises NoCorpus for no texts, too many (200) or too long ones (200,000 bytes).
    """
    place = directory or OWN_TEXTS
    files = sorted(path for path in place.glob("*") if path.suffix in SUFFIXES and path.name != QUESTIONS_FILE)
    texts = {path.name: text for path in files[: MOST_TEXTS + 1] if (text := read_text(path))}
    if not 0 < len(texts) <= MOST_TEXTS:
        raise NoCorpus(f"{place} holds {len(files)} texts (.txt, .md); between 1 and {MOST_TEXTS} are needed")
    asked = place / QUESTIONS_FILE
    given = read_text(asked).splitlines() if asked.is_file() else []
    return Corpus(texts, list(dict.fromkeys([*filter(None, map(str.strip, given)), *questions_about(texts)])))


def read_text(path: Path) -> str:
    """One file, whitespace at its ends removed."""
    if path.stat().st_size > LARGEST_TEXT:
        raise NoCorpus(f"{path} is longer than {LARGEST_TEXT} bytes")
    return path.read_text(encoding="utf-8", errors="replace").strip()


def questions_about(texts: dict[str, str]) -> list[str]:
    """Three questions a text, about its best terms; first one about each text."""
    found = [rules.terms(text, QUESTIONS_A_TEXT) for text in texts.values()]
    rounds = itertools.zip_longest(*found)
    return [f"What is said about {name}?" for names in rounds for name in names if name]
