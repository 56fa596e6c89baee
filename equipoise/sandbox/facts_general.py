"""Short texts of general knowledge, and news that only a web search can know (invented, and saying so)."""

from __future__ import annotations

from equipoise.sandbox.fact import Fact


def general(name: str, cues: tuple[str, ...], text: str, title: str) -> Fact:
    """A fact any model has seen in training."""
    return Fact(name, cues, text, title, "2024-06-01", "encyclopedia.example")


def news(name: str, cues: tuple[str, ...], text: str, title: str, date: str) -> Fact:
    """A fact of yesterday, made up for the sandbox."""
    return Fact(name, cues, f"Sandbox news, invented for demonstrations: {text}", title, date, "news.example")


GENERAL: tuple[Fact, ...] = (
    general(
        "paris",
        ("capital of france", "paris"),
        "Paris is the capital of France. It lies on the Seine.",
        "Paris",
    ),
    general(
        "photosynthesis",
        ("photosynthesis", "chlorophyll"),
        "Plants turn carbon dioxide and water into sugar and oxygen with the energy of light. Chlorophyll catches the "
        "light, and the Calvin cycle fixes the carbon.",
        "Photosynthesis",
    ),
    general(
        "moon-tides",
        ("tide", "moon"),
        "The tides follow the pull of the moon and, by less than half as much, of the sun. They are highest at new and "
        "full moon, when both pull in line.",
        "Tides",
    ),
    general(
        "bayes",
        ("bayes", "conditional probability"),
        "Bayes' theorem gives the probability of a cause from that of its effect: P(A|B) = P(B|A) P(A) / P(B). A rare "
        "disease stays improbable after one positive test unless the test is very specific.",
        "Bayes' theorem",
    ),
    general(
        "http-caching",
        ("http cache", "etag", "caching"),
        "An HTTP cache may reuse a response while it is fresh and must revalidate it afterwards, by its ETag or its "
        "date. `Cache-Control: no-store` forbids keeping it at all.",
        "HTTP caching",
    ),
    general(
        "python-gil",
        ("python gil", "global interpreter lock"),
        "CPython's global interpreter lock lets one thread execute bytecode at a time. Threads still help while waiting "
        "for files and sockets; computation needs processes, native code or a free-threaded build.",
        "The global interpreter lock",
    ),
    general(
        "sql-index",
        ("sql index", "b-tree", "database index"),
        "A B-tree index keeps keys sorted, so that a row is found in a handful of page reads and ranges are read in "
        "order. Every index makes writes dearer.",
        "Indexes",
    ),
    general(
        "circuit-breaker",
        ("circuit breaker", "load balancing", "failover"),
        "A circuit breaker stops calling a failing service after a number of errors, waits, and then lets a few trial "
        "calls through before it trusts the service again.",
        "The circuit breaker pattern",
    ),
    general(
        "haiku",
        ("haiku", "poem"),
        "Cold light on the bench. The needle draws one last peak. Morning names the blood.",
        "A haiku about a laboratory",
    ),
    general(
        "speed-of-light",
        ("speed of light", "light year"),
        "Light in vacuum travels exactly 299,792,458 metres per second; the metre is defined by it.",
        "The speed of light",
    ),
)

NEWS: tuple[Fact, ...] = (
    news(
        "diabetes-trial",
        ("latest biomarkers for diabetes", "latest diabetes", "this year", "recent diabetes"),
        "a consortium reported that a nine-metabolite panel predicted type 2 diabetes in an independent cohort better "
        "than fasting glucose alone.",
        "Nine metabolites and diabetes risk",
        "2026-11-12",
    ),
    news(
        "metabolomics-meeting",
        ("conference", "meeting", "2026"),
        "the spring meeting on clinical metabolomics moved to April, with a day for reference materials.",
        "Spring meeting moves to April",
        "2026-11-03",
    ),
    news(
        "regulator-guidance",
        ("guidance", "regulator", "regulation", "fda", "approved"),
        "a regulator published draft guidance that asks for pooled quality-control data with every mass-spectrometry "
        "biomarker filing.",
        "Draft guidance on quality control",
        "2026-10-27",
    ),
    news(
        "open-instrument",
        ("new instrument", "announced", "current news", "today", "this week"),
        "an open-hardware group announced a bench-top ion-mobility spectrometer with published drawings.",
        "An open ion-mobility spectrometer",
        "2026-11-18",
    ),
    news(
        "weather",
        ("weather", "forecast"),
        "the coast expects rain until Thursday and light frost after it.",
        "Rain until Thursday",
        "2026-11-22",
    ),
)
