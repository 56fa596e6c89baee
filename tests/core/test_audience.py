"""Who is told of what: those who said which events they hear of, and everybody who said nothing."""

from __future__ import annotations

from equipoise.core.events import AttemptEnded, Audience, BackendChanged, Event, RequestEnded, hears
from tests.fakes import ScriptedClient, answer, balancer, request

CHANGED = BackendChanged("a", "open", "it fails", 0.0)


class Choosy:
    """Hears of changes of a backend alone."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    @hears(BackendChanged)
    def observe(self, event: Event) -> None:
        self.heard.append(event)


class Curious(Choosy):
    """Observes in its own way, and says nothing of what it hears."""

    def observe(self, event: Event) -> None:
        self.heard.append(event)


def told(audience: Audience, observers: list[object], *kinds: type[Event]) -> list[list[object]]:
    return [list(audience.of(kind, observers)) for kind in kinds]  # type: ignore[arg-type]


def test_an_event_goes_to_those_who_hear_of_its_kind() -> None:
    """A method's word counts for each of its objects; a plain callable hears of everything; all keep their order."""
    plain: list[Event] = []
    choosy, hear_all = Choosy().observe, plain.append
    heard = told(Audience(), [choosy, hear_all], BackendChanged, RequestEnded)
    assert heard == [[choosy, hear_all], [hear_all]]


def test_who_observes_in_another_way_says_so_anew() -> None:
    """A subclass that overrides the method does not inherit what it hears of."""
    curious = Curious().observe
    assert told(Audience(), [curious], RequestEnded) == [[curious]]


def test_whoever_hears_of_a_kind_hears_of_its_own_kinds() -> None:
    """Hearing of all events is hearing of every one."""

    @hears(Event)
    def observe(event: Event) -> None: ...

    assert told(Audience(), [observe], BackendChanged, AttemptEnded) == [[observe], [observe]]


def test_observers_may_come_go_and_be_replaced() -> None:
    """However the list is changed, also by as many others in its place, the next event goes by what is there."""
    audience, first, second = Audience(), [].append, [].append  # type: ignore[var-annotated]
    observers: list[object] = [first]
    assert told(audience, observers, RequestEnded) == [[first]]
    observers.append(second)
    assert told(audience, observers, RequestEnded) == [[first, second]]
    observers[:] = [second, first]
    assert told(audience, observers, RequestEnded) == [[second, first]]
    observers.clear()
    assert told(audience, observers, RequestEnded) == [[]]
    assert told(audience, [first], RequestEnded) == [[first]]


async def test_a_plain_observer_hears_all_of_a_question_and_a_later_one_all_of_the_next() -> None:
    """Between two questions somebody begins to listen, and a choosy one is not bothered."""
    it, events = balancer({"a": ScriptedClient(answer("yes"), answer("yes"))})
    await it.answer(request())
    first, late, choosy = len(events), list[Event](), Choosy()
    it.observers += [late.append, choosy.observe]
    await it.answer(request())
    assert first > 0
    assert [type(event) for event in late] == [type(event) for event in events[first:]]
    assert {type(event).__name__ for event in late} >= {"AttemptBegan", "AttemptEnded"}
    it.tell(CHANGED)
    assert choosy.heard == [CHANGED]
    assert events[-1] == late[-1] == CHANGED


async def test_observers_of_the_balancer_that_took_over_are_heard() -> None:
    """After a reload the same observers are told, and one that comes then as well."""
    it, events = balancer({"a": ScriptedClient(answer("yes"))})
    it.tell(CHANGED)
    fresh, _ = balancer({"a": ScriptedClient(answer("yes"))})
    it.become(fresh)
    late: list[Event] = []
    it.observers.append(late.append)
    it.tell(CHANGED)
    assert events == [CHANGED, CHANGED]
    assert late == [CHANGED]
