"""Budgets that cannot be overshot: the worst case is reserved before a question is sent, the actual is settled after.

Memory only. What may be spent here is a slice held from a store (`slices`), renewed beside the requests by whoever calls
`asks` and `granted`. Amounts are integers: nano-dollars, requests or tokens. Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from equipoise.core.account import EACH, GRACE, Account, BudgetOptions, Unit
from equipoise.core.events import BudgetCrossed, Event
from equipoise.core.model import Request
from equipoise.core.pacing import Pacer
from equipoise.core.slices import Ask, Grant
from equipoise.core.window import Window

if TYPE_CHECKING:
    from equipoise.core.backend import Backend

MOST_STACKS = 4096
Amounts = tuple[int, int, int]
"""Nano-dollars, requests, tokens."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a backend may not be asked: a sentence, the account that has no room, when it renews (None: not by itself).

    `short` says that the store may have more in a moment: then it is worth a short wait.
    """

    why: str
    account: Account | None = None
    renews_at: float | None = None
    short: bool = False


class Reservation(msgspec.Struct, gc=False):
    """What is kept free for one attempt, until it is settled. `expired`: it was taken for spent before."""

    number: int
    accounts: tuple[Account, ...]
    needs: Amounts
    expires: float
    expired: bool = False


class Places(Protocol):
    """Where numbers outlive the process."""

    def place(self, account: str) -> MutableSequence[int]:
        """The one number of this account."""
        ...

    def close(self) -> None:
        """Nothing is held any more: nobody will look for it."""
        ...


def _nothing(event: Event) -> None:
    """Nobody listens yet."""


class Budgets:
    """All budgets of a gateway, with what it holds of them.

    `windows` gives each budget's by its name. `lapses` is when the slices held here are no longer ours, because the
    store was not reached for too long, by either clock (Unix and monotonic seconds: one may be set back, the other may
    stand still): from then on nothing is promised. `cut_off` says that the store is known not to answer: then nobody waits
    for more. `longest` is for how many seconds a reservation may be open. `tell`
    hears of overruns, `wake` is called when a slice runs low, once a turn. `money_price` is what a nano-dollar is worth in
    quality while a budget is paced, by the strictest of `pacers`. `holder` is the name the slices are held under, `turn`
    counts the turns, `keeper` is who takes them now; what is free of them stands in `places` as well.
    """

    def __init__(self, options: Iterable[BudgetOptions] = (), windows: Mapping[str, Window] | None = None) -> None:
        self.accounts: dict[str, Account] = {}
        self._former: list[Account] = []
        self.open: dict[int, Reservation] = {}
        self.tell: Callable[[Event], None] = _nothing
        self.wake: Callable[[], None] = lambda: None
        self.lapses = float("inf"), float("inf")
        self.cut_off = False
        self.longest = GRACE
        self.places: Places | None = None
        self.holder, self.turn = "", 0
        self.keeper: object = None
        self.pacers: dict[str, Pacer] = {}
        self.money_price = 0.0
        self._stacks: dict[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], tuple[Account, ...]] = {}
        self._count = 0
        self._woken = False
        self.adopt(options, windows or {})

    def inherit(self, fresh: Budgets) -> None:
        """Go by the budgets of another configuration from now on; a pacer that stays keeps what it has learned."""
        self.adopt(fresh.options.values(), fresh.windows)
        self.pacers = {name: self.pacers.get(name, pacer) for name, pacer in fresh.pacers.items()}
        self.money_price = self.money_price if self.pacers else 0.0
        self.longest = max(self.longest, fresh.longest)
        for name, account in fresh.accounts.items():
            self.accounts.setdefault(name, account)

    def adopt(self, options: Iterable[BudgetOptions], windows: Mapping[str, Window]) -> None:
        """Go by these budgets from now on. Accounts that stay keep what they hold; those that go are left to settle."""
        self.options, self.windows = {of.name: of for of in options}, dict(windows)
        self.active = bool(self.options)
        self._tags = frozenset(of.tag for of in self.options.values() if of.tag not in (None, EACH))
        self._stacks.clear()
        for name, account in list(self.accounts.items()):
            of = self.options.get(account.options.name)
            if of is None or of.unit != account.options.unit:
                self._former.append(self.accounts.pop(name).hidden())
            else:
                account.options, account.window = of, self.windows[of.name]
                account.slot_ends = float("-inf")

    # ---- beside every attempt ----

    def lapsed(self, wall: float, now: float) -> bool:
        """Is what is held here no longer ours, by the clock on the wall or the monotonic one?"""
        return wall > self.lapses[0] or now > self.lapses[1]

    def why_not(self, backend: Backend, request: Request, wall: float, *, lapsed: bool = False) -> Refusal | None:
        """Why the worst case of this question at this backend does not fit; None when it does."""
        accounts = self.stack(backend.id, request)
        if not accounts:
            return None
        cost, tokens = backend.worst_case(request)
        if cost is None:
            if any(account.unit == Unit.USD for account in accounts):
                return Refusal("nobody knows its price, and this request has a budget")
            cost = 0
        if lapsed:
            return Refusal("the store of budgets does not answer", short=not self.cut_off)
        needs = (cost, 1, tokens)
        for account in accounts:
            if account.free < needs[account.unit]:
                return self._refusal(account, needs[account.unit], wall)
        return None

    def reserve(self, backend: Backend, request: Request, wall: float, expires: float) -> Reservation:
        """Keep the worst case free; only right after `why_not` gave None, in the same breath. None is open for more than
        `longest`, so that a store knows when nothing more can come of what a dead holder held."""
        accounts = self.stack(backend.id, request)
        cost, tokens = backend.worst_case(request) if accounts else (0, 0)
        return self.hold(accounts, (cost or 0, 1, tokens), min(expires, wall + self.longest))

    def hold(self, accounts: tuple[Account, ...], needs: Amounts, expires: float) -> Reservation:
        """Take these amounts out of what is free."""
        low = False
        for account in accounts:
            need = needs[account.unit]
            account.shown[0] = account.free = account.free - need
            account.reserved += need
            account.demand += need
            if need > account.largest:
                account.largest = need
            if account.free < account.low:
                low = True
        self._count += 1
        reservation = Reservation(self._count, accounts, needs, expires)
        self.open[self._count] = reservation
        if low and not self._woken:
            self._woken = True
            self.wake()
        return reservation

    def settle(self, reservation: Reservation, actual: Amounts, wall: float) -> None:
        """Book what an attempt came to (all zero: nothing was sent). Raises KeyError when it was settled before.

        More than was reserved is booked like the rest and told once a window: then a bill was wrong or a bound too low.
        """
        del self.open[reservation.number]
        if reservation.expired or wall > reservation.expires:
            self._settle_late(reservation, actual, wall)
            return
        needs = reservation.needs
        for account in reservation.accounts:  # Account.book, written out: this is beside every question
            unit = account.unit
            need, amount = needs[unit], actual[unit]
            account.reserved -= need
            account.shown[0] = account.free = account.free + need - amount
            account.used += amount
            if wall >= account.slot_ends:
                account.open_slot(wall)
            sums = account.sums
            sums[0] += amount
            sums[1] += 1
            if amount > need:
                self._overrun(account, wall)
        if self.pacers and actual[1]:
            self._pace(actual[0], wall)

    def _settle_late(self, reservation: Reservation, actual: Amounts, wall: float) -> None:
        """It is booked in full: what it came to less is taken back from the sums, what it came to more is used as well."""
        self._expire(reservation)
        for account in reservation.accounts:
            more = actual[account.unit] - reservation.needs[account.unit]
            account.note(more, 0, reservation.expires)
            account.used += max(0, more)
            account.shown[0] = account.free = account.free - max(0, more)
            if more > 0:
                self._overrun(account, wall)

    def expire(self, wall: float) -> int:
        """Take for spent what nobody settled in time; a late settlement then corrects it. Gives how many there were."""
        late = []
        for reservation in self.open.values():
            if reservation.expires > wall:
                break  # they end about as they began: the rest can wait for the next look
            if not reservation.expired:
                late.append(reservation)
        for reservation in late:
            self._expire(reservation)
        return len(late)

    def _expire(self, reservation: Reservation) -> None:
        if not reservation.expired:
            reservation.expired = True
            for account in reservation.accounts:
                account.expire(reservation.needs[account.unit], reservation.expires)

    def stack(self, backend_id: str, request: Request) -> tuple[Account, ...]:
        """The accounts that an attempt of this request at this backend is booked to."""
        tags = tuple(tag for tag in request.tags if tag in self._tags) if request.tags and self._tags else ()
        place = (backend_id, request.tenant, request.key, tags, request.budgets)
        found = self._stacks.get(place)
        if found is None:
            if len(self._stacks) >= MOST_STACKS:
                self._stacks.clear()
            found = self._stacks[place] = tuple(self._accounts(*place))
        return found

    # ---- turns at the store ----

    def asks(self, wall: float, seconds: float) -> list[Ask]:
        """What every account has to tell and ask, `seconds` after the last turn."""
        self.expire(wall)
        self._woken = False
        self._former = [account for account in self._former if not account.idle]
        for account in self._former:
            account.calm()
        return [account.ask(wall, seconds, self.longest) for account in self.asking]

    @property
    def asking(self) -> list[Account]:
        """All that have anything to do with the store: those of former budgets too, until they are settled."""
        return [*self.accounts.values(), *self._former]

    def granted(self, grants: Sequence[Grant], wall: float) -> None:
        """Take in the store's answers."""
        asking = {account.id: account for account in (*self._former, *self.accounts.values())}
        for grant in grants:
            if grant.account in asking:
                asking[grant.account].granted(grant, wall)

    def known_scopes(self, *, backends: Iterable[str], tenants: Iterable[str], keys: Iterable[str]) -> None:
        """Open the accounts of those who may come, so that nobody's first question waits for one."""
        every = {"backend": tuple(backends), "tenant": tuple(tenants), "key": tuple(keys)}
        for of in self.options.values():
            scope = {field: getattr(of, field) for field in every}
            starred = [field for field, value in scope.items() if value == EACH]
            if len(starred) > 1:
                continue  # pairs are opened as they come
            for value in every[starred[0]] if starred else ("",):
                self._account(of, scope | dict.fromkeys(starred, value) | {"tag": of.tag})

    # ---- for people ----

    def status(self, wall: float) -> list[dict[str, Any]]:
        """One row an account, amounts in its unit: `spent`, `held` and `unknown` over all gateways, `reserved` here."""
        return [_row(account, wall) for account in self.accounts.values()]

    def _refusal(self, account: Account, need: int, wall: float) -> Refusal:
        unit, renews = Unit(account.unit), account.renews_at(wall)
        if account.may_get(need, wall):
            account.refused(need)
            why = f"the budget {account.id} has no {unit.written(need)} free at this moment: the rest is promised"
            if self.cut_off:
                why = f"{why}, and its store does not answer"
            return Refusal(why, account, renews, short=not self.cut_off)
        limit = account.standing.limit if account.standing else account.options.limit
        why = f"may take {unit.written(need)}, more than is left of the budget {account.id} of {unit.written(limit)}"
        return Refusal(why, account, renews)

    def _pace(self, cost: int, wall: float) -> None:
        for pacer in self.pacers.values():
            pacer.paid(cost, wall)
        self.money_price = max(pacer.price() for pacer in self.pacers.values())

    def _overrun(self, account: Account, wall: float) -> None:
        if account.overrun:
            return
        account.overrun = True
        self.tell(crossed(account, 1.0, wall, overrun=True))

    def _accounts(
        self, backend_id: str, tenant: str, key: str, tags: tuple[str, ...], named: tuple[str, ...]
    ) -> Iterable[Account]:
        said = {"backend": backend_id, "tenant": tenant, "key": key}
        for of in self.options.values():
            scope = {field: getattr(of, field) for field in said}
            fits = all(value in (None, EACH, said[field]) for field, value in scope.items())
            fits = fits and (of.tag is None or of.tag in tags) and (not of.named or of.name in named)
            if fits and tenant not in of.exempt:
                own = {field: said[field] if value == EACH else value for field, value in scope.items()}
                yield self._account(of, own | {"tag": of.tag})

    def _account(self, of: BudgetOptions, scope: Mapping[str, str | None]) -> Account:
        starred = [f"{field}={value}" for field, value in scope.items() if getattr(of, field) == EACH]
        name = f"{of.name}[{','.join(starred)}]" if starred else of.name
        if name not in self.accounts:
            self.accounts[name] = Account(name, of, self.windows[of.name])
        return self.accounts[name]


def crossed(account: Account, share: float, wall: float, *, overrun: bool = False) -> BudgetCrossed:
    """The event of a budget that passed a share, with the forecast of its end."""
    standing = account.standing
    spent = (standing.spent + standing.unknown if standing else 0) + account.used
    limit = standing.limit if standing else account.options.limit
    return BudgetCrossed(
        budget=account.id,
        unit=Unit(account.unit).name.lower(),
        share=share,
        spent=spent,
        reserved=account.reserved,
        limit=limit,
        wall=wall,
        renews_at=account.renews_at(wall),
        exhausted_at=exhausted_at(account, wall),
        overrun=overrun,
    )


def exhausted_at(account: Account, wall: float) -> float | None:
    """When the budget will be used up at the pace of this window so far; None if it will not be before it renews."""
    standing, window = account.standing, account.window
    if standing is None or standing.spent <= 0:
        return None
    elapsed = window.length if window.rolls else wall - window.starts
    if elapsed <= 0 or (window.starts <= 0 and not window.rolls):
        return None
    at = wall + max(0, standing.limit - standing.spent) * elapsed / standing.spent
    if window.rolls:
        return at if at < wall + window.length else None
    return at if at < window.ends else None


def _row(account: Account, wall: float) -> dict[str, Any]:
    standing, options = account.standing, account.options
    limit = standing.limit if standing else options.limit
    spent = (standing.spent if standing else 0) + account.used
    scope = {field: getattr(options, field) for field in ("backend", "tenant", "key", "tag")}
    return {
        "budget": account.id,
        "name": options.name,
        "unit": Unit(account.unit).name.lower(),
        "scope": {field: value for field, value in scope.items() if value is not None},
        "limit": limit,
        "configured_limit": options.limit,
        "spent": spent,
        "reserved": account.reserved,
        "held": standing.held + standing.others if standing else 0,
        "unknown": standing.unknown if standing else 0,
        "count": standing.count if standing else 0,
        "share": round((spent + (standing.unknown if standing else 0)) / limit, 6) if limit else 1.0,
        "alerts": list(options.alerts),
        "began_at": account.window.began(wall),
        "renews_at": account.renews_at(wall),
        "exhausted_at": exhausted_at(account, wall),
    }
