"""What a host is told to do, from the decision to the end of the answer."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from edgewise.core.layout import MAX_SESSIONS
from edgewise.core.session import ACTIONS, EVENTS, SESSION_REASONS, STATES
from edgewise.engine import PythonEngine
from edgewise.request import Request, pack_request
from support.checked import CheckedCore
from support.scene import NOON
from support.sessions import CHAIN, Session, forget, policy, random_event

PAGE = Path(__file__).parents[2] / "docs" / "sessions.md"


@pytest.fixture(scope="module")
def shared(weights: bytes) -> PythonEngine:
    return PythonEngine(weights)


@pytest.fixture
def engine(shared: PythonEngine) -> PythonEngine:
    return forget(shared, policy())


def load(engine: PythonEngine, **tables: Any) -> PythonEngine:
    engine.load_policy(policy(**tables))
    return engine


class TestAnswer:
    def test_the_first_call_is_the_decision(self, engine: PythonEngine) -> None:
        session = Session(engine)
        assert (session.action.kind, session.action.model, session.action.resume) == ("call", "alpha", False)
        assert (session.decision.model, session.action.reason) == ("alpha", "decided")

    def test_chunks_are_shown_as_they_come(self, engine: PythonEngine) -> None:
        session = Session(engine)
        assert session.send("headers", 50, status=200).kind == "hold"
        assert session.send("chunk", 100, text="The", tokens=1).show == 1
        action = session.write(110, " sea", " is")
        assert (action.kind, action.show) == ("forward", 3)
        end = session.send("end", 200, finish="stop", input_tokens=11, output_tokens=3)
        assert (end.kind, end.finish, end.input_tokens, end.output_tokens) == ("finish", "stop", 11, 3)
        assert end.cost == 11 * 1_000_000 + 3 * 2_000_000
        assert end.observed is not None
        assert (end.observed.outcome, end.observed.ttft_ms) == ("ok", 100)

    def test_without_a_count_of_the_upstream_tokens_are_estimated(self, engine: PythonEngine) -> None:
        session = Session(engine)
        session.send("headers", 50, status=200)
        session.send("chunk", 100, text="a few words that nobody counted")
        end = session.send("end", 200, finish="stop")
        assert end.input_tokens == session.decision.input_tokens
        assert 5 <= end.output_tokens <= 9

    def test_what_is_not_streamed_is_shown_when_it_is_whole(self, engine: PythonEngine) -> None:
        session = Session(engine, stream=False)
        session.send("headers", 50, status=200)
        assert session.send("chunk", 900, text="The sea.", tokens=3).show == 0
        end = session.send("end", 901, finish="stop")
        assert (end.kind, end.show) == ("finish", 1)
        assert end.observed is not None
        assert end.observed.ttft_ms == 0, "the time of a whole answer says nothing about its first token"

    def test_a_tool_call_is_shown_when_it_is_whole(self, engine: PythonEngine) -> None:
        session = Session(engine)
        session.send("headers", 50, status=200)
        session.write(100, "Let me look.")
        assert session.send("chunk", 110, tool=True, tokens=2).show == 1
        assert session.send("chunk", 120, tool=True, tokens=2).show == 1
        end = session.send("end", 130, finish="tool_calls")
        assert (end.kind, end.show, end.finish) == ("finish", 3, "tool_calls")

    def test_the_client_leaves(self, engine: PythonEngine) -> None:
        session = Session(engine)
        session.send("headers", 50, status=200)
        session.write(100, "The", " sea")
        gone = session.send("gone", 150)
        assert (gone.kind, gone.reason) == ("finish", "client_gone")
        assert gone.cost > 0
        assert session.send("chunk", 160, text="x").reason == "unknown_session"

    def test_the_budget_ends_an_answer(self, engine: PythonEngine) -> None:
        session = Session(engine, budget_usd=0.0005, max_tokens=100)
        session.send("headers", 50, status=200)
        action = session.send("chunk", 100, text="word " * 300, tokens=300)
        assert (action.kind, action.reason, action.finish) == ("finish", "budget_spent", "length")


class TestFallback:
    def test_nothing_shown_starts_again(self, engine: PythonEngine) -> None:
        session = Session(engine)
        action = session.send("fault", 20, fault="unreachable")
        assert (action.kind, action.model, action.resume, action.show) == ("call", "beta", False, 0)
        assert action.observed is not None
        assert (action.observed.model, action.observed.outcome) == ("alpha", "error")

    def test_what_was_shown_is_gone_on_from(self, engine: PythonEngine) -> None:
        session = Session(engine)
        session.send("headers", 50, status=200)
        session.write(100, "The", " sea", " is")
        action = session.send("fault", 200, fault="cut")
        assert (action.model, action.resume, action.show, action.reason) == ("beta", True, 3, "cut")
        session.send("headers", 300, status=200)
        session.write(400, " wide")
        end = session.send("end", 500, finish="stop", input_tokens=40, output_tokens=1)
        assert (end.input_tokens, end.output_tokens) == (37, 4)

    def test_what_is_held_back_is_good_after_a_cut(self, engine: PythonEngine) -> None:
        session = Session(
            load(engine, monitor={"default": "slow", "domains": {}, "levels": {"slow": {"hold_back_tokens": 2}}})
        )
        session.send("headers", 50, status=200)
        assert session.write(100, "The", " sea", " is", " wide").show == 2
        action = session.send("end", 200)
        assert (action.reason, action.resume, action.show) == ("cut", True, 4)

    def test_half_a_tool_call_is_not_gone_on_from(self, engine: PythonEngine) -> None:
        session = Session(engine)
        session.send("headers", 50, status=200)
        session.write(100, "Let me look.")
        session.send("chunk", 110, tool=True, tokens=2)
        action = session.send("fault", 120, fault="malformed")
        assert (action.resume, action.show) == (True, 1)

    @pytest.mark.parametrize(
        ("status", "reason", "outcome", "comes_back"),
        [
            (500, "server_error", "error", True),
            (408, "server_error", "error", True),
            (429, "rate_limited", "rate_limited", True),
            (401, "refused", "error", False),
            (400, "refused", None, False),
            (302, "refused", None, False),
        ],
    )
    def test_statuses(
        self, engine: PythonEngine, status: int, reason: str, outcome: str | None, comes_back: bool
    ) -> None:
        session = Session(engine)
        action = session.send("headers", 50, status=status, retry_after_ms=300)
        assert (action.kind, action.model, action.reason) == ("call", "beta", reason)
        assert (action.observed.outcome if action.observed else None) == outcome
        tried = ["beta"]
        at = 60
        while action.kind == "call":
            action = session.send("fault", at := max(at + 1, action.not_before_ms - session.opened_at), fault="cut")
            tried += [action.model] if action.model else []
        assert ("alpha" in tried) == comes_back

    def test_a_rate_limit_is_waited_for_when_nobody_else_is_left(self, engine: PythonEngine) -> None:
        load(engine, session={"attempts": 1, "backoff_ms": 0})
        session = Session(engine, model="alpha")
        assert session.send("headers", 50, status=503, retry_after_ms=700).kind == "fail", "one attempt was allowed"
        load(engine, session={"attempts": 2, "backoff_ms": 0})
        session = Session(engine, model="alpha")
        action = session.send("headers", 50, status=429, retry_after_ms=700)
        assert (action.kind, action.model, action.not_before_ms) == ("call", "alpha", session.opened_at + 750)

    def test_backoff_doubles(self, engine: PythonEngine) -> None:
        session = Session(load(engine, session={"attempts": 3, "backoff_ms": 100}), model="alpha")
        first = session.send("fault", 10, fault="unreachable")
        second = session.send("fault", 110, fault="unreachable")
        waits = [first.not_before_ms - session.opened_at - 10, second.not_before_ms - session.opened_at - 110]
        assert waits == [100, 200]
        assert session.send("fault", 400, fault="unreachable").kind == "fail"

    def test_everybody_fails(self, engine: PythonEngine) -> None:
        session = Session(engine)
        action, calls, at = session.action, 0, 0
        while action.kind == "call":
            calls += 1
            at = max(at + 1, action.not_before_ms - session.opened_at)
            action = session.send("headers", at, status=500)
        assert (action.kind, action.reason, calls) == ("fail", "server_error", 2 * len(CHAIN))

    def test_an_empty_answer_is_a_failure(self, engine: PythonEngine) -> None:
        session = Session(engine)
        session.send("headers", 50, status=200)
        session.send("chunk", 60)
        action = session.send("end", 70, finish="stop")
        assert (action.kind, action.model, action.reason) == ("call", "beta", "empty")

    def test_costs_of_all_calls_count(self, engine: PythonEngine) -> None:
        session = Session(engine)
        session.send("headers", 50, status=200)
        session.write(100, "The")
        spent = session.send("fault", 200, fault="cut").cost
        assert spent == session.decision.input_tokens * 1_000_000 + 2_000_000

    def test_a_cached_prompt_costs_less(self, engine: PythonEngine) -> None:
        session = Session(engine, text="word " * 400, session_model="alpha", cached_tokens=300)
        session.send("headers", 50, status=200)
        session.write(100, "The")
        assert (
            session.send("end", 200, finish="stop", input_tokens=400, output_tokens=1).cost
            == 100 * 1_000_000 + 300 * 250_000 + 2_000_000
        )

    def test_a_budget_that_is_spent_pays_for_no_other_call(self, engine: PythonEngine) -> None:
        session = Session(engine, text="word " * 400, budget_usd=0.0007, max_tokens=100)
        session.send("headers", 50, status=200)
        session.write(100, "The")
        assert session.send("fault", 200, fault="cut").kind == "fail"


class TestTime:
    def test_a_late_first_token(self, engine: PythonEngine) -> None:
        session = Session(engine)
        assert session.action.deadline_ms == session.opened_at + 1_000, "another model is left: a short patience"
        action = session.send("timer", 1_000)
        assert (action.model, action.reason) == ("beta", "late")
        assert action.observed is not None
        assert (action.observed.outcome, action.observed.ttft_ms) == ("timeout", 1_000)

    def test_the_last_model_is_given_time(self, engine: PythonEngine) -> None:
        load(engine, session={"attempts": 1})
        session = Session(engine, model="gamma")
        assert session.action.deadline_ms == session.opened_at + 20_000

    def test_a_stall(self, engine: PythonEngine) -> None:
        session = Session(load(engine, session={"stall_ms": 500}))
        session.send("headers", 50, status=200)
        assert session.write(100, "The").deadline_ms == session.opened_at + 600
        action = session.send("timer", 600)
        assert (action.model, action.reason, action.resume) == ("beta", "stalled", True)

    def test_an_early_timer_changes_nothing(self, engine: PythonEngine) -> None:
        session = Session(engine)
        action = session.send("timer", 400)
        assert (action.kind, action.deadline_ms) == ("hold", session.opened_at + 1_000)

    def test_no_more_time(self, engine: PythonEngine) -> None:
        session = Session(load(engine, session={"total_ms": 900}))
        action = session.send("timer", 900)
        assert (action.kind, action.reason) == ("fail", "time_up")

    def test_what_is_held_back_is_shown_after_a_while(self, engine: PythonEngine) -> None:
        level = {"hold_back_tokens": 8, "hold_back_ms": 300}
        session = Session(load(engine, monitor={"default": "slow", "domains": {}, "levels": {"slow": level}}))
        session.send("headers", 50, status=200)
        action = session.write(100, "The", " sea")
        assert (action.kind, action.show, action.deadline_ms) == ("hold", 0, session.opened_at + 400)
        assert session.send("timer", 400).show == 1
        assert session.send("timer", 401).show == 2


STRICT: dict[str, Any] = {
    "hold_back_tokens": 16,
    "hold_back_ms": 60_000,
    "low_confidence": 0.5,
    "window_tokens": 4,
    "refusal": True,
    "broken_json": True,
    "stale_knowledge": True,
}


class TestMonitor:
    def strict(self, engine: PythonEngine, **level: Any) -> PythonEngine:
        levels = {"own": {**STRICT, **level}}
        return load(engine, monitor={"default": "own", "domains": {}, "levels": levels})

    def test_low_confidence_is_replaced_before_it_is_seen(self, engine: PythonEngine) -> None:
        session = Session(self.strict(engine))
        session.send("headers", 50, status=200)
        for at in range(100, 104):
            action = session.send("chunk", at, text=" perhaps", tokens=1, logprobs=(-3_000,))
        assert (action.kind, action.model, action.reason) == ("call", "beta", "low_confidence")
        assert (action.resume, action.show) == (False, 0)
        assert action.observed is not None
        assert action.observed.outcome == "ok", "the endpoint did its part"

    def test_nobody_is_left_to_do_better(self, engine: PythonEngine) -> None:
        session = Session(self.strict(engine), model="alpha")
        session.send("headers", 50, status=200)
        for at in range(100, 110):
            action = session.send("chunk", at, text=" perhaps", tokens=1, logprobs=(-3_000,))
        assert action.kind == "hold"
        assert session.send("end", 200, finish="stop").kind == "finish"

    @pytest.mark.parametrize(
        ("ask", "kind"),
        [
            ("Write a short note to my landlord about the heating, please.", "call"),
            ("Write a short note to my landlord about the heating, in German please.", "forward"),
        ],
    )
    def test_another_language_is_a_fault_unless_the_ask_names_one(
        self, engine: PythonEngine, ask: str, kind: str
    ) -> None:
        session = Session(self.strict(engine, language_drift=True, hold_back_tokens=0), text=ask)
        session.send("headers", 50, status=200)
        note = (
            "Sehr geehrter Herr Weber, seit gestern bleibt die Heizung in meiner Wohnung kalt, und warmes Wasser kommt "
            "nur noch morgens. Bitte schicken Sie in den nächsten Tagen jemanden vorbei, der sich das ansieht, denn so "
            "kann ich hier mit den Kindern nicht wohnen. Ich danke Ihnen im Voraus und bleibe mit freundlichen Grüßen."
        )
        action = session.send("chunk", 100, text=note, tokens=70)
        assert action.kind == kind

    def test_stale_knowledge_goes_to_live_retrieval(self, engine: PythonEngine) -> None:
        session = Session(self.strict(engine))
        session.send("headers", 50, status=200)
        action = session.send("chunk", 100, text="As of my last knowledge update in 2023, ", tokens=9)
        assert (action.kind, action.model, action.reason) == ("call", "gamma", "stale_knowledge")

    def test_broken_json_that_was_shown_stays(self, engine: PythonEngine) -> None:
        for hold_back, kind in ((16, "call"), (0, "forward")):
            session = Session(self.strict(engine, hold_back_tokens=hold_back), needs=["json"])
            session.send("headers", 50, status=200)
            session.write(100, '{"a"')
            assert session.send("chunk", 110, text=" oops}", tokens=1).kind == kind


class TestPool:
    def test_too_many_sessions(self, engine: PythonEngine) -> None:
        first = Session(engine)
        for session in engine._core.sessions:
            session.state, session.generation = 1, engine._core.memory.generation
            session.deadline_at = first.opened_at + 10_000
        assert (Session(engine).action.kind, Session(engine).action.reason) == ("fail", "too_many_sessions")

    def test_sessions_that_were_forgotten_make_room(self, engine: PythonEngine) -> None:
        Session(engine)
        for session in engine._core.sessions:
            session.state, session.generation, session.deadline_at = 1, engine._core.memory.generation, 0
        assert Session(engine).action.kind == "call"
        assert len(engine._core.sessions) == MAX_SESSIONS

    def test_a_new_policy_ends_all_sessions(self, engine: PythonEngine) -> None:
        session = Session(engine)
        engine.load_policy(policy())
        assert session.send("headers", 50, status=200).reason == "unknown_session"

    def test_names_are_not_used_again(self, engine: PythonEngine) -> None:
        session = Session(engine)
        session.send("gone", 10)
        assert Session(engine).name != session.name


def test_any_events_stay_within_the_widths(weights: bytes) -> None:
    level = {"hold_back_tokens": 6, "repetition": 3, "language_drift": True, "broken_json": True, "low_confidence": 0.4}
    core = CheckedCore(weights, policy(monitor={"default": "own", "domains": {}, "levels": {"own": level}}))
    request = pack_request(Request.parse({"text": "Write JSON.", "stream": True, "needs": ["json"], "at_ms": NOON}), 0)
    opened = 0
    for seed in range(60):
        draw = random.Random(seed)
        if core.decide(request, opens=True) != "ok":
            continue
        opened += 1
        action, at = core.memory.action, draw.choice((0, NOON, 2**53))
        for _ in range(40):
            if ACTIONS[action.kind] in ("finish", "fail"):
                break
            at += draw.choice((0, 1, 40, 900, 2**40))
            action = core.advance(random_event(draw, action.session, at))
    assert opened > 3


def table() -> set[tuple[str, str, str]]:
    """The transitions that docs/sessions.md lists: state, event, next state."""
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {(state, event, after) for state, event, states in rows for after in re.findall(r"`(\w+)`", states)}


def test_the_page_lists_every_transition_and_no_other(engine: PythonEngine) -> None:
    level = {"hold_back_tokens": 6, "repetition": 3}
    rules = {"default": "own", "domains": {}, "levels": {"own": level}}
    blob = policy(monitor=rules, session={"attempts": 2, "backoff_ms": 50, "total_ms": 60_000})
    seen: set[tuple[str, str, str]] = set()
    for seed in range(900):
        draw = random.Random(seed)
        session = Session(
            forget(engine, blob), stream=draw.random() < 0.9, max_tokens=20, budget_usd=draw.choice((None, 0.0001))
        )
        at = 0
        while session.action.kind not in ("finish", "fail"):
            at += draw.choice((0, 1, 5, 40, 900, 15_000))
            event = random_event(draw, session.name, session.opened_at + at)
            if event.session != session.name:
                continue
            before = session.state
            session.action = engine.advance(event)
            seen.add((before, event.kind, session.state))
    assert seen - table() == set(), "these happen and are not on the page"
    assert table() - seen == set(), "these are on the page and do not happen"


def test_the_page_explains_every_word() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for word in (*STATES, *EVENTS, *ACTIONS, *SESSION_REASONS):
        assert f"`{word}`" in text, word
