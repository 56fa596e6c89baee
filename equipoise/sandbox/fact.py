"""One thing that a sandbox backend may know, with where it stands."""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True):
    """A short text about one topic; `cues` are the words of a question that call it up (lower case, word beginnings).

    Hosts end in `.example` (RFC 2606): nobody is cited for what the sandbox says.
    """

    name: str
    cues: tuple[str, ...]
    text: str
    title: str
    date: str = "2025-03-01"
    host: str = "metabolomics.example"

    @property
    def url(self) -> str:
        """Where the web-shaped backend says it found the text."""
        return f"https://{self.host}/{self.name}"

    @property
    def file(self) -> str:
        """The document the graph-shaped backends say they read."""
        return f"{self.name}.md"

    @property
    def gist(self) -> str:
        """The first sentence: what a general model vaguely remembers."""
        return self.text.split(". ")[0].rstrip(".") + "."
