"""Three hundred questions of three kinds, each with what a right answer must hold."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Literal, NamedTuple

Kind = Literal["corpus", "fresh", "general"]
KINDS: tuple[Kind, ...] = ("corpus", "fresh", "general")


class Asked(NamedTuple):
    """A question; `key` is what a right answer says (of a paper: the name of its file, which must be cited)."""

    kind: Kind
    text: str
    key: str
    known: str = ""


CAPITALS = dict(
    pair.split("=")
    for pair in [
        "France=Paris",
        "Italy=Rome",
        "Spain=Madrid",
        "Germany=Berlin",
        "Japan=Tokyo",
        "China=Beijing",
        "Russia=Moscow",
        "Egypt=Cairo",
        "Greece=Athens",
        "Portugal=Lisbon",
        "Austria=Vienna",
        "Hungary=Budapest",
        "Poland=Warsaw",
        "Ireland=Dublin",
        "Norway=Oslo",
        "Sweden=Stockholm",
        "Denmark=Copenhagen",
        "Finland=Helsinki",
        "Belgium=Brussels",
        "Canada=Ottawa",
        "Cuba=Havana",
        "Peru=Lima",
        "Chile=Santiago",
        "Argentina=Buenos Aires",
        "India=New Delhi",
        "Thailand=Bangkok",
        "Vietnam=Hanoi",
        "Iran=Tehran",
        "Iraq=Baghdad",
        "Turkey=Ankara",
        "Kenya=Nairobi",
        "Mexico=Mexico City",
        "Romania=Bucharest",
        "Bulgaria=Sofia",
        "Syria=Damascus",
        "Lebanon=Beirut",
        "South Korea=Seoul",
        "Indonesia=Jakarta",
        "the Czech Republic=Prague",
        "the Netherlands=Amsterdam",
    ]
)
SYMBOLS = dict(
    pair.split("=")
    for pair in [
        "gold=Au",
        "silver=Ag",
        "iron=Fe",
        "oxygen=O",
        "hydrogen=H",
        "carbon=C",
        "nitrogen=N",
        "helium=He",
        "sodium=Na",
        "copper=Cu",
        "calcium=Ca",
        "zinc=Zn",
    ]
)
PLAIN = (
    ("Which planet is known as the red planet?", "Mars"),
    ("Which planet is the largest in the solar system?", "Jupiter"),
    ("Who wrote Romeo and Juliet?", "Shakespeare"),
    ("Who painted the Mona Lisa?", "Leonardo"),
    ("Who was the first president of the United States?", "Washington"),
    ("What is the largest ocean on Earth?", "Pacific"),
    ("What is the highest mountain in the world?", "Everest"),
    ("What gas do plants take up for photosynthesis?", "carbon dioxide"),
    ("Which language is spoken in Brazil?", "Portuguese"),
    ("What is the currency of Japan?", "yen"),
    ("How many continents are there?", "seven"),
    ("What is the largest mammal?", "whale"),
    ("Who discovered penicillin?", "Fleming"),
    ("Who developed the theory of relativity?", "Einstein"),
    ("What is the boiling point of water in degrees Celsius?", "100"),
    ("Who wrote Hamlet?", "Shakespeare"),
    ("What is the longest river in Africa?", "Nile"),
    ("On which continent is Egypt?", "Africa"),
    ("Which star is at the centre of the solar system?", "Sun"),
    ("What do bees make?", "honey"),
)
FORMS = (
    "What is the capital of {}?",
    "Name the capital city of {}.",
)

# Invented: nobody, no model and no corpus can know them but who looks them up.
PLACES = ("Averton", "Belmora", "Corvale", "Dunholm", "Estwick", "Fernby", "Galden", "Harrowick", "Ilmarin", "Jostedal")
SUBJECTS = (
    (
        "What is the latest flu vaccination rate announced in {} this week?",
        "The rate announced in {} this week is {} percent.",
    ),
    (
        "How many measles cases were reported in {} in the latest bulletin?",
        "The latest bulletin for {} reports {} cases.",
    ),
    (
        "What did the newest trial released in {} this month report as response rate?",
        "The trial in {} reported {} percent.",
    ),
    ("What is today's air quality index in {}?", "Today's air quality index in {} is {}."),
    ("How many beds are currently free in the hospital of {}?", "Currently {1} beds are free in the hospital of {0}."),
    ("What price was announced for insulin in {} last week?", "The price announced in {} last week is {} crowns."),
    ("How many people joined the ongoing cohort in {} so far?", "So far {1} people joined the cohort in {0}."),
    ("What was the recent turnout of the blood drive in {}?", "The recent blood drive in {} drew {} donors."),
    (
        "Which number did the upcoming congress in {} announce for registrations this year?",
        "The congress in {} counts {} registrations.",
    ),
    ("What is the newest waiting time for an MRI in {}?", "The newest waiting time in {} is {} days."),
    ("How many vaccines did {} receive yesterday?", "Yesterday {} received {} doses."),
    ("What is the current price of a clinic visit in {}?", "The current price in {} is {} crowns."),
)


def papers_in(data: Path) -> dict[str, dict[str, Any]] | None:
    """PubMedQA's labelled papers by id; None where they are not."""
    places = (data / "pubmedqa" / "ori_pqal.json", data / "ori_pqal.json")
    place = next((place for place in places if place.is_file()), None)
    return None if place is None else json.loads(place.read_text("utf-8"))


def file_of(paper: str) -> str:
    """The name under which a paper is in the corpus."""
    return f"pubmed-{paper}.txt"


def corpus(papers: dict[str, dict[str, Any]]) -> list[Asked]:
    """The question each paper was written to answer; its conclusion is what a web search is scripted to say."""
    return [Asked("corpus", paper["QUESTION"], file_of(name), paper["LONG_ANSWER"]) for name, paper in papers.items()]


def fresh(chance: random.Random) -> list[Asked]:
    """Every subject in every place, with a number of three digits that no other has."""
    pairs = [(ask, says, place) for ask, says in SUBJECTS for place in PLACES]
    values = chance.sample(range(101, 999), len(pairs))
    return [
        Asked("fresh", ask.format(place), str(value), says.format(place, value))
        for (ask, says, place), value in zip(pairs, values, strict=True)
    ]


def general() -> list[Asked]:
    """What every model has read."""
    capitals = [(form.format(country), city) for form in FORMS for country, city in CAPITALS.items()]
    symbols = [(f"What is the chemical symbol of {name}?", symbol) for name, symbol in SYMBOLS.items()]
    return [Asked("general", text, key, f"It is {key}.") for text, key in (*capitals, *symbols, *PLAIN)]


def is_right(asked: Asked, text: str, sources: list[str]) -> bool:
    """Whether an answer says what it must; of a paper's question, whether it rests on that paper."""
    if asked.kind == "corpus":
        return any(asked.key in source for source in sources) and bool(text.strip())
    words = "".join(letter if letter.isalnum() else " " for letter in text).split()
    if len(asked.key) <= 2:
        return asked.key in words
    return asked.key.lower() in text.lower()
