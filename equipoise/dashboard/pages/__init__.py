"""The pages in the order of the menu."""

from __future__ import annotations

from equipoise.dashboard.pages import audit, backends, canary, cost, learning, overview, quality, reliability, requests
from equipoise.dashboard.view import Page

PAGES: tuple[Page, ...] = (
    Page(
        "", "Overview", ("backends", "traffic", "latency", "budgets", "alerts", "breakers", "decisions"), overview.draw
    ),
    Page("backends", "Backends", ("backends", "latency", "breakers"), backends.draw, ("backend",)),
    Page("requests", "Requests", ("requests",), requests.draw, ("backend", "route", "tenant", "verdict")),
    Page("cost", "Cost", ("budgets", "burn", "efficiency", "traffic", "spending", "backends"), cost.draw),
    Page("reliability", "Reliability", ("backends", "breakers", "errors", "alerts", "alert-history"), reliability.draw),
    Page("quality", "Quality", ("quality", "efficiency", "backends"), quality.draw),
    Page(
        "learning",
        "Learning",
        ("learners", "beliefs", "weights", "learned-weights", "alone", "regret", "backends"),
        learning.draw,
    ),
    Page("canary", "Canary", ("canary", "journal", "standing"), canary.draw, ()),
    Page("audit", "Audit", ("audit",), audit.draw, ()),
)
