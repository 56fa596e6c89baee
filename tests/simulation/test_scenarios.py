"""`equipoise simulate`: the real core in virtual time against modelled backends."""

from __future__ import annotations

import json
import math
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from equipoise.cli import main
from equipoise.config.errors import ConfigurationError
from equipoise.config.load import load
from equipoise.config.scenario import read_scenario
from equipoise.core.events import EJECTED, BackendChanged
from equipoise.core.model import Strategy
from equipoise.simulation.arrivals import at_random, of_trace
from equipoise.simulation.assembly import of_llmperf, run_of
from equipoise.simulation.run import Crowd, Run
from equipoise.simulation.shapes import fitted

CONFIG = """
backend_instances:
  a: {backend_type: local_llm, endpoint_url: "http://a:1", model: m, cost_per_1k_tokens: 0.002}
  b: {backend_type: local_llm, endpoint_url: "http://b:1", model: m, cost_per_1k_tokens: 0.001}
  c: {backend_type: local_llm, endpoint_url: "http://c:1", model: m, cost_per_1k_tokens: 0.001, quality_score: 0.6}
minimum_quality_threshold: 0.5
state_dir: state
"""
SCENARIO = """
questions: {rate: 4, count: 1500, output_tokens: 100}
backends:
  a: {tokens_per_second: 60}
  b: {tokens_per_second: 40}
  c: {tokens_per_second: 40, quality: {general: 0.3}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "equipoise.yaml").write_text(CONFIG)
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    return tmp_path


def prepared(folder: Path, strategy: str, more: str = "") -> tuple[Run, Crowd]:
    (folder / "s.yaml").write_text(SCENARIO + more)
    scenario = read_scenario(folder / "s.yaml")
    return run_of(scenario, load(Path(scenario.config), environ={}).config, strategy, lambda name: None)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_every_question_is_settled_whatever_goes_wrong(folder: Path, strategy: str) -> None:
    """Slow, failing, hanging, down and throttling in turn: all 1,500 are answered or told why not, nothing is in flight."""
    troubles = "troubles:\n" + "".join(
        f"  - {{backend: {backend}, what: {what}, at_seconds: {at}, for_seconds: 40}}\n"
        for backend, what, at in (
            ("a", "slow", 30),
            ("b", "failing", 90),
            ("a", "hanging", 150),
            ("b", "down", 220),
            ("a", "throttling", 290),
        )
    )
    run, crowd = prepared(folder, strategy, troubles)
    story = run.play(crowd)
    assert story.asked == 1500
    assert story.attempts >= 1500
    assert [row["in_flight"] for row in run.selection.status()] == [0, 0, 0]
    assert len(story.seconds) > 1300  # c is soon known to be below the floor: in the worst moments nobody is left


def test_the_same_seed_is_the_same_run(folder: Path) -> None:
    """To the last answer; another seed is another run."""
    first, second = (run.play(crowd).as_dict() for run, crowd in (prepared(folder, "weighted") for _ in range(2)))
    assert first == second
    run, crowd = prepared(folder, "weighted", "seed: 2\n")
    assert run.play(crowd).as_dict() != first


def test_what_fails_at_once_is_left_alone_while_it_fails(folder: Path) -> None:
    """Its breaker opens, the others answer, and afterwards it has its share again."""
    run, crowd = prepared(
        folder, "round_robin", "troubles: [{backend: b, what: failing, at_seconds: 100, for_seconds: 100}]\n"
    )
    crowd.arrivals = at_random(4.0, 3000, 0.0, random.Random(7), 100)  # a second trip lasts minutes
    story = run.play(crowd)
    assert story.failed_attempts < 20
    assert story.failed_attempts / story.attempts < 0.02
    parts = story.traffic(60)["b"]
    assert sum(parts[10:15]) < 0.2 * sum(parts[1:6])
    assert sum(parts[-8:-3]) > 0.7 * sum(parts[1:6])
    assert {state for _, who, state, _ in story.changes if who == "b"} == {"open", "half_open", "closed"}


def test_a_rate_that_swings_over_the_day_has_its_night() -> None:
    """Twice as many at noon as a mean hour, hardly any at midnight, the mean kept."""
    arrivals = list(at_random(0.5, 43_200, 1.0, random.Random(3), 10))
    hours = [int(arrival.at // 3600) for arrival in arrivals if arrival.at < 86_400]
    assert 39_000 < len(hours) < 45_000
    assert sum(hour == 0 for hour in hours) < 60
    assert 3000 < sum(hour == 12 for hour in hours) < 4000


def test_traces_come_as_they_were_recorded(tmp_path: Path) -> None:
    """Azure's and Mooncake's form, sped up; what is neither is named by its row."""
    (tmp_path / "azure.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.6805900,396,0\n"
    )
    (tmp_path / "mooncake.jsonl").write_text(
        '{"timestamp": 3000, "input_length": 6758, "output_length": 500, "hash_ids": [0]}\n{"timestamp": "x"}\n'
    )
    azure = [(a.at, a.input_tokens, a.output_tokens) for a in of_trace(tmp_path / "azure.csv", 2.0)]
    assert azure == [(0.0, 374, 44), (2.0, 396, 1)]
    with pytest.raises(ValueError, match=r"mooncake.jsonl: row 2 is no arrival"):
        list(of_trace(tmp_path / "mooncake.jsonl", 1.0))


def test_a_shape_is_fitted_from_enough_answers_or_not_at_all(tmp_path: Path) -> None:
    """Pace and first token belong together; a missing first token is guessed from the others; LLMPerf's files are read."""
    shape = fitted([(0.2, 1.2, 100)] * 15 + [(None, 2.4, 200)] * 15, failures=10)
    assert shape is not None
    assert shape.failure_rate == 0.25
    assert {(round(head, 3), tokens) for head, _, tokens in shape.measured} == {(0.2, 100), (0.4, 200)}
    assert fitted([(0.2, 1.2, 100)] * 19, failures=0) is None
    rows = [{"error_code": None, "ttft_s": 0.3, "end_to_end_latency_s": 0.9, "number_output_tokens": 150}] * 30
    (tmp_path / "perf.json").write_text(json.dumps([*rows, {"error_code": 500}]))
    measured = of_llmperf(tmp_path / "perf.json")
    assert measured is not None
    assert measured.failure_rate == pytest.approx(1 / 31)


def test_a_wrong_scenario_is_told_with_file_line_and_field(folder: Path) -> None:
    """Everything at once."""
    (folder / "bad.yaml").write_text("questions: {rate: -1}\nbackends:\n  a: {slotz: 3}\n")
    with pytest.raises(ConfigurationError) as refused:
        read_scenario(folder / "bad.yaml")
    told = str(refused.value)
    assert "bad.yaml:1:13: questions.rate" in told
    assert "bad.yaml:3:7: backends.a.slotz" in told


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_budget_holds_under_every_strategy_and_its_story_is_told(folder: Path, strategy: str) -> None:
    """Enough for a part of the questions: then they are refused, and alerts come once. An answer longer than was thought
    possible may lead a little beyond, as it may in earnest, and that is told."""
    (folder / "equipoise.yaml").write_text(CONFIG + "budgets: {day: {usd: 0.5, window: day}}\n")
    run, crowd = prepared(folder, strategy)
    story = run.play(crowd)
    (row,) = story.as_dict()["budgets"]
    overrun = any(share == 1.0 for _, _, share in story.crossings)
    assert 400_000_000 < row["spent"] <= row["limit"] + overrun * 5_000_000
    assert row["spent"] == story.cost
    assert story.unanswered["budget_exceeded"] > 300
    assert len(story.seconds) + sum(story.unanswered.values()) == 1500
    assert [share for _, _, share in story.crossings if share < 1.0] == [0.7, 0.9]
    assert story.spending()["day"][-1] > 0.8


def test_a_budget_begins_anew_with_its_window(folder: Path) -> None:
    """Two days of questions under a daily budget that is too small: answered in the mornings, told twice."""
    (folder / "equipoise.yaml").write_text(CONFIG + "budgets: {hour: {requests: 300, window: hour}}\n")
    run, crowd = prepared(folder, "weighted")
    crowd = Crowd(at_random(0.2, 1500, 0.0, random.Random(3), 100), 100, {"general": 1.0}, "default")
    story = run.play(crowd)
    windows = math.ceil(story.lasted / 3600.0)
    assert 300 * (windows - 2) < len(story.seconds) <= 300 * (windows + 1)
    assert sum(share == 0.9 for _, _, share in story.crossings) >= windows - 1


def test_what_answers_are_worth_is_learned(folder: Path) -> None:
    """By kind of question: each goes to who is good at it, in the end; without scores nobody knows."""
    more = """
scored: 1.0
"""
    kinds = (
        SCENARIO.replace("count: 1500", "count: 4000, kinds: {metabolomics: 1, review: 1}")
        .replace("b: {tokens_per_second: 40}", "b: {tokens_per_second: 40, quality: {metabolomics: 0.1, review: 0.9}}")
        .replace("a: {tokens_per_second: 60}", "a: {tokens_per_second: 60, quality: {metabolomics: 0.9, review: 0.1}}")
    )
    (folder / "s.yaml").write_text(kinds + more)
    found = {}
    for scored in (1.0, 0.0):
        scenario = read_scenario(folder / "s.yaml").model_copy(update={"scored": scored})
        run, crowd = run_of(
            scenario, load(Path(scenario.config), environ={}).config, "adaptive_learning", lambda name: None
        )
        found[scored] = run.play(crowd).qualities(10)[-1] or 0.0
    assert found[1.0] > 0.8
    assert found[0.0] < 0.6


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cost_optimized_has_a_lower_bill_than_taking_turns(folder: Path, seed: int) -> None:
    """At equal quality the dearest is spared: nearly a fifth less in all. Nobody's learned limit collapses under the crowd."""
    alike = SCENARIO.replace(", quality: {general: 0.3}", "") + f"seed: {seed}\n"
    (folder / "s.yaml").write_text(alike)
    (folder / "equipoise.yaml").write_text(CONFIG.replace("quality_score: 0.6", "quality_score: 1.0"))
    bills = {}
    for strategy in ("cost_optimized", "round_robin"):
        scenario = read_scenario(folder / "s.yaml")
        run, crowd = run_of(scenario, load(Path(scenario.config), environ={}).config, strategy, lambda name: None)
        story = run.play(crowd)
        assert len(story.seconds) >= 1499
        bills[strategy] = story.cost
        limits = {name: found.limit.value for name, found in run.selection.backends.items()}
        assert min(limits.values()) >= 4.0
    assert bills["cost_optimized"] < 0.85 * bills["round_robin"]


def test_an_outlier_that_is_put_aside_has_its_place_in_the_story(folder: Path) -> None:
    """It is told like any change of a breaker, and the lanes are drawn all the same."""
    run, crowd = prepared(folder, "round_robin")
    story = run.play(crowd)
    story.observe(BackendChanged("a", EJECTED, "too slow", story.beginning + 1.0))
    assert story.as_dict()["breaker_story"][-1]["state"] == "ejected"
    assert set(story.lanes()["a"]) == {"closed"}


def test_the_command_prints_a_table_a_picture_or_a_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And refuses what does not fit together with exit code 2."""
    scenario, picture = str(folder / "scenario.yaml"), folder / "run.svg"
    assert main(["simulate", scenario, "--count", "300", "--strategy", "weighted", "--picture", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "weighted" in out
    assert "  p95     |" in out
    assert "  quality |" in out
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    assert main(["simulate", scenario, "--count", "300", "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (run["strategy"], run["questions"]) == ("adaptive_learning", 300)
    (folder / "scenario.yaml").write_text(SCENARIO + "  z: {}\n")
    assert main(["simulate", scenario]) == 2
    assert "no backend z; it has a, b, c" in capsys.readouterr().err


def test_the_example_of_the_docs_is_a_scenario(tmp_path: Path) -> None:
    """As it is printed there."""
    page = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text()
    (tmp_path / "scenario.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    found = read_scenario(tmp_path / "scenario.yaml")
    assert [str(strategy) for strategy in found.strategies] == ["performance_based", "health_aware", "round_robin"]
    assert [trouble.what for trouble in found.troubles] == ["slow", "failing"]
