"""The five dashboards."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from bench.grafana.panels import WINDOW, B, Q, lines, number, page, quantile, rate, rows, states

FAILED = f'sum (rate(lb_responses_total{{code=~"5.."}}[{WINDOW}])) / sum (rate(lb_responses_total[{WINDOW}]))'
DURATION, FIRST = "lb_request_duration_seconds", "lb_time_to_first_token_seconds"


def overview() -> Dashboard:
    """What one looks at first."""
    head = [
        number("Questions", "reqps", f"sum (rate(lb_responses_total[{WINDOW}]))"),
        number("Failed", "percentunit", f"({FAILED}) or vector(0)"),
        number("95 % answered in", "s", quantile(0.95, "lb_response_duration_seconds", "", "")),
        number("Dollars an hour", "currencyUSD", "3600 * sum (rate(lb_request_cost_total[15m]))"),
        number("In flight", "short", "sum (lb_in_flight)"),
        number("Breakers not closed", "short", "count (lb_circuit_breaker_state > 0) or vector(0)"),
    ]
    traffic = [
        lines("Traffic by backend", "reqps", Q(rate("lb_requests_total")), stacked=True),
        lines("Answers by status", "reqps", Q(rate("lb_responses_total", "code", ""), "{{code}}"), stacked=True),
        lines(
            "Answer time",
            "s",
            *(
                Q(quantile(share, "lb_response_duration_seconds", "", ""), f"p{share * 100:g}")
                for share in (0.5, 0.95, 0.99)
            ),
            text="All attempts of a question together, as clients saw it.",
        ),
        lines("Time to first token", "s", Q(quantile(0.95, FIRST)), text="95th percentile, by backend."),
    ]
    engines = [
        lines("In flight", "short", Q(f"lb_in_flight{{{B}}}")),
        lines("Health", "percentunit", Q(f"lb_backend_health_score{{{B}}}")),
        states("Circuit breakers", Q(f"lb_circuit_breaker_state{{{B}}}"), "0 closed, 1 half-open, 2 open."),
        rows("Versions", Q("equipoise_build_info", "")),
    ]
    sections = [("Now", head), ("Traffic", traffic), ("Backends", engines)]
    return page("overview", "Overview", "Traffic, failures, time, money: what one looks at first.", sections)


def cost() -> Dashboard:
    """Where the money goes."""
    head = [
        number("Today", "currencyUSD", "sum (increase(lb_request_cost_total[24h]))", "The last 24 hours.", 6),
        number(
            "An answer",
            "currencyUSD",
            f"sum (rate(lb_request_cost_total[{WINDOW}])) / sum (rate(lb_responses_total[{WINDOW}]))",
            width=6,
        ),
        number(
            "Without a price",
            "reqps",
            f"sum (rate(lb_unpriced_requests_total[{WINDOW}]))",
            "Attempts whose price nobody knows.",
            6,
        ),
        number("Tokens a second", "short", f"sum (rate(lb_tokens_total[{WINDOW}]))", width=6),
    ]
    spending = [
        lines("Dollars an hour by backend", "currencyUSD", Q(f"3600 * {rate('lb_request_cost_total')}"), stacked=True),
        lines(
            "Dollars an answer by backend",
            "currencyUSD",
            Q(f"{rate('lb_request_cost_total')} / {rate('lb_requests_total')}"),
        ),
        lines("Tokens by kind", "short", Q(rate("lb_tokens_total", "kind"), "{{kind}}"), stacked=True),
        lines("Attempts without a price", "reqps", Q(rate("lb_unpriced_requests_total"))),
    ]
    budgets = [
        lines("Share of budgets spent", "percentunit", Q("lb_budget_spent / lb_budget_limit", "{{budget}}")),
        lines("Cost efficiency", "percentunit", Q("lb_cost_efficiency_ratio", "efficiency")),
        lines("Promised to attempts under way", "short", Q("lb_budget_reserved", "{{budget}} ({{unit}})")),
        lines(
            "Budgets and their limits",
            "short",
            Q("lb_budget_spent", "{{budget}} spent ({{unit}})"),
            Q("lb_budget_limit", "{{budget}} limit ({{unit}})"),
        ),
        rows(
            "Spent at this rate",
            Q("lb_budget_exhausted_timestamp_seconds * 1000", ""),
            text="When a budget is spent if things go on as they do.",
            width=12,
        ),
    ]
    return page(
        "cost",
        "Cost",
        "Dollars and tokens by backend, budgets and when they end.",
        [("Now", head), ("Spending", spending), ("Budgets", budgets)],
    )


def quality() -> Dashboard:
    """How good answers are, and what is learned from them."""
    mean = f"{rate('lb_answer_quality_sum')} / {rate('lb_answer_quality_count')}"
    scored = [
        lines("Mean quality of answers", "percentunit", Q(mean)),
        lines("The worst tenth", "percentunit", Q(quantile(0.1, "lb_answer_quality"))),
        lines("Scored answers by source", "reqps", Q(rate("lb_answer_quality_count", "source"), "{{source}}")),
        lines(
            "Replies that answer nothing",
            "percentunit",
            Q(
                f"{rate('lb_requests_total', match=B + ', status=' + chr(34) + 'no_answer' + chr(34))} / {rate('lb_requests_total')}"
            ),
        ),
    ]
    learned = [
        lines("What is made of each backend", "percentunit", Q(f"avg by (backend_id) (lb_learned_weight{{{B}}})")),
        lines("By kind of question", "percentunit", Q(f"lb_learned_weight{{{B}}}", "{{backend_id}} {{kind}}")),
        lines(
            "Traffic share",
            "percentunit",
            Q(
                f"{rate('lb_requests_total')} / ignoring(backend_id) group_left sum (rate(lb_requests_total{{{B}}}[{WINDOW}]))"
            ),
            stacked=True,
        ),
        lines(
            "Cost of an answer",
            "currencyUSD",
            Q(f"{rate('lb_request_cost_total')} / {rate('lb_requests_total')}"),
            text="Beside the quality: what it costs.",
        ),
    ]
    return page(
        "quality",
        "Quality and learning",
        "How good answers are, who scored them, and what is learned from that.",
        [("Quality", scored), ("Learning", learned)],
    )


def reliability() -> Dashboard:
    """What fails, and what was done about it."""
    failing = [
        lines("Failed questions", "percentunit", Q(f"({FAILED}) or vector(0)", "5xx")),
        lines("Attempts by verdict", "reqps", Q(rate("lb_requests_total", "status"), "{{status}}"), stacked=True),
        lines("Failing attempts by backend", "reqps", Q(rate("lb_requests_total", match=B + ', status!="success"'))),
        lines("Nobody to ask", "reqps", Q("sum (rate(lb_no_backend_total[" + WINDOW + "]))", "no backend")),
    ]
    done = [
        states("Circuit breakers", Q(f"lb_circuit_breaker_state{{{B}}}"), "0 closed, 1 half-open, 2 open."),
        lines(
            "Breakers opened",
            "short",
            Q(f'sum by (backend_id) (increase(lb_circuit_breaker_transitions_total{{{B}, state="open"}}[5m]))'),
        ),
        lines(
            "Retries, hedges, ejections",
            "reqps",
            Q(f"sum (rate(lb_retries_total[{WINDOW}]))", "retries"),
            Q(f"sum (rate(lb_hedges_total[{WINDOW}]))", "hedges"),
            Q(f"sum (rate(lb_ejections_total[{WINDOW}]))", "ejections"),
        ),
        lines("Streams cut", "reqps", Q(rate("lb_stream_interruptions_total"))),
        lines(
            "Questions that wait",
            "short",
            Q("sum (lb_queue_depth)", "waiting"),
            Q(f"sum (rate(lb_turned_away_total[{WINDOW}]))", "turned away a second"),
        ),
    ]
    times = [
        lines("Attempt time, 95 %", "s", Q(quantile(0.95, DURATION))),
        lines("Attempt time, 99 %", "s", Q(quantile(0.99, DURATION))),
        lines("Between two pieces of a stream, 99 %", "s", Q(quantile(0.99, "lb_chunk_gap_seconds"))),
        lines(
            "The gateway's own time, 99 %",
            "s",
            Q(quantile(0.99, "lb_overhead_seconds", "", ""), "overhead"),
            Q(quantile(0.99, "lb_routing_decision_seconds", "strategy", ""), "decision {{strategy}}"),
        ),
        lines("Late decisions", "reqps", Q(f"sum (rate(lb_late_routing_decisions_total[{WINDOW}]))", "late")),
        lines("Response cache", "reqps", Q(rate("lb_cache_requests_total", "result", ""), "{{result}}"), stacked=True),
    ]
    ledger = [
        lines(
            "Attempts recorded",
            "reqps",
            Q(f"sum (rate(equipoise_ledger_written_total[{WINDOW}]))", "written"),
            Q(f"sum (rate(equipoise_ledger_dropped_total[{WINDOW}]))", "dropped"),
        ),
        lines(
            "Attempts waiting to be recorded",
            "short",
            Q("sum (equipoise_ledger_pending)", "waiting"),
            Q("sum (equipoise_ledger_unwell)", "ledgers unwell"),
        ),
    ]
    sections = [("Failures", failing), ("What was done", done), ("Time", times), ("Ledger", ledger)]
    return page("reliability", "Reliability", "What fails, how slow, and what was done about it.", sections)


def migration() -> Dashboard:
    """A move or a canary, and its evidence."""
    ladder = [
        lines("Per cent of keys at the canary", "percent", Q("lb_canary_percentage", "{{canary}}")),
        lines(
            "Evidence against it",
            "short",
            Q('lb_canary_evidence{measure="e_value"}', "{{canary}}"),
            text="The e-value of the last verdict; 20 is enough to roll back at 5 %.",
        ),
        lines("Requests it rests on", "short", Q('lb_canary_evidence{measure="candidate_requests"}', "{{canary}}")),
        lines(
            "Verdicts",
            "short",
            Q("sum by (canary, verdict) (increase(lb_canary_decisions_total[15m]))", "{{canary}} {{verdict}}"),
        ),
    ]
    sides = [
        lines("Traffic by backend", "reqps", Q(rate("lb_requests_total")), stacked=True),
        lines(
            "Failing share by backend",
            "percentunit",
            Q(
                f"{rate('lb_requests_total', match=B + ', status!=' + chr(34) + 'success' + chr(34))} / {rate('lb_requests_total')}"
            ),
        ),
        lines("Attempt time, 95 %", "s", Q(quantile(0.95, DURATION))),
        lines("Dollars an answer", "currencyUSD", Q(f"{rate('lb_request_cost_total')} / {rate('lb_requests_total')}")),
    ]
    return page(
        "migration",
        "Migration",
        "Old side and new, canary and control: shares, verdicts, evidence.",
        [("Canary", ladder), ("Both sides", sides)],
    )


PAGES = {"overview": overview, "cost": cost, "quality": quality, "reliability": reliability, "migration": migration}
