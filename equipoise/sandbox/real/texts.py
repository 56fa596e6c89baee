"""What is ingested and what is asked: our own short texts, or a directory of the user's."""

from __future__ import annotations

from pathlib import Path

import msgspec

from equipoise.sandbox.real import rules

OWN_TEXTS = Path(__file__).parent / "corpus"
QUESTIONS_FILE = "questions.txt"
SUFFIXES = (".txt", ".md")
LARGEST_TEXT = 200_000
MOST_TEXTS = 200


class Corpus(msgspec.Struct, frozen=True):
    """Texts by file name, and questions about them."""

    texts: dict[str, str]
    questions: list[str]


class NoCorpus(Exception):
    """The directory holds no texts that can be used; the message says why."""


def read_corpus(directory: Path | None) -> Corpus:
    """All .txt and .md files of a directory; questions from its questions.txt, one to the line, else from its terms.

    Raises NoCorpus for no files, too many (200) or too long ones (200,000 bytes).
    """
    place = directory or OWN_TEXTS
    files = sorted(path for path in place.glob("*") if path.suffix in SUFFIXES and path.name != QUESTIONS_FILE)
    if not 0 < len(files) <= MOST_TEXTS:
        raise NoCorpus(f"{place} holds {len(files)} texts (.txt, .md); between 1 and {MOST_TEXTS} are needed")
    texts = {path.name: text for path in files if (text := read_text(path))}
    asked = place / QUESTIONS_FILE
    given = asked.read_text(encoding="utf-8").splitlines() if asked.is_file() else []
    return Corpus(texts, [line.strip() for line in given if line.strip()] or questions_about(texts))


def read_text(path: Path) -> str:
    """One file, whitespace at its ends removed."""
    if path.stat().st_size > LARGEST_TEXT:
        raise NoCorpus(f"{path} is longer than {LARGEST_TEXT} bytes")
    return path.read_text(encoding="utf-8", errors="replace").strip()


def questions_about(texts: dict[str, str]) -> list[str]:
    """One question a text, about its best term."""
    found = [rules.terms(text, 1) for text in texts.values()]
    return list(dict.fromkeys(f"What is said about {best[0]}?" for best in found if best))
