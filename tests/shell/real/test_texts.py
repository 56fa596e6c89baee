"""Reading the texts and questions of the demo with real software."""

from __future__ import annotations

from pathlib import Path

import pytest

from equipoise.sandbox.real import texts


def test_our_own_corpus_has_texts_and_questions_that_name_them() -> None:
    """Eight texts, ten questions of ours first, more about terms after them."""
    corpus = texts.read_corpus(None)
    assert len(corpus.texts) == 8
    assert "octanoylcarnitine" in corpus.texts["acylcarnitines.txt"]
    assert corpus.questions[0].startswith("Which acylcarnitine")
    assert len(corpus.questions) > 30
    assert len(set(corpus.questions)) == len(corpus.questions)


def test_a_directory_of_texts_is_read_with_its_own_questions_first(tmp_path: Path) -> None:
    """.txt and .md count, other files and empty ones do not; blank lines are no questions."""
    (tmp_path / "a.txt").write_text("Insulin lowers glucose.")
    (tmp_path / "b.md").write_text("Glucagon raises glucose.")
    (tmp_path / "c.pdf").write_text("Not text.")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "questions.txt").write_text("What lowers glucose?\n\n")
    corpus = texts.read_corpus(tmp_path)
    assert list(corpus.texts) == ["a.txt", "b.md"]
    assert corpus.questions[0] == "What lowers glucose?"
    assert "" not in corpus.questions


def test_without_questions_each_text_is_asked_about_once_before_any_twice(tmp_path: Path) -> None:
    """So that a short demo visits every document."""
    (tmp_path / "a.txt").write_text("Insulin resistance. Liver fat. Muscle mass.")
    (tmp_path / "b.txt").write_text("Bile acids. Gut bacteria. Dietary fibre.")
    asked = texts.read_corpus(tmp_path).questions
    assert asked[0].split("about ")[1].rstrip("?") in {"Insulin Resistance", "Liver Fat", "Muscle Mass"}
    assert asked[1].split("about ")[1].rstrip("?") in {"Bile Acids", "Gut Bacteria", "Dietary Fibre"}


@pytest.mark.parametrize("files", [{}, {"long.txt": "x" * 200_001}, {f"{n}.txt": "x" for n in range(201)}])
def test_no_texts_too_many_or_too_long_ones_are_refused(tmp_path: Path, files: dict[str, str]) -> None:
    """With a sentence that names the limit."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(texts.NoCorpus, match="200"):
        texts.read_corpus(tmp_path)
