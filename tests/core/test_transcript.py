"""Which bytes of a conversation are the ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.core.labels import ROLES
from edgewise.core.tokens import UNITS_PER_TOKEN, estimate, units
from edgewise.core.transcript import (
    ASK_BYTES,
    ASK_SEGMENTS,
    HEAD_TOKENS,
    MAX_MESSAGES_READ,
    PRIOR_TOKENS,
    SEGMENT_WEIGHTS,
    TAIL_TOKENS,
    Ask,
    read_ask,
)
from support.core import CountingBuffer, ask_of, conversation, read_user, segments_of

BLOCKS = ["system-reminder", "tool_result", "environment_details", "open_and_recently_viewed_files", "command-name"]
WRAPPERS = ["user_query", "task", "command-args", "prompt"]
LONG_ENGLISH = "the quick brown fox jumps over the lazy dog and runs away " * 60


class TestWhoVotes:
    @pytest.mark.parametrize("role", [role for role in ROLES if role != "user"])
    def test_only_users_vote(self, role):
        assert ask_of((role, "write a sorting function in Rust")).segment_count == 0

    def test_the_ask_is_the_last_user_turn_wherever_it_stands(self):
        ask = ask_of(("system", "be brief"), ("user", "hello"), ("assistant", "hi"), ("tool", "42"))
        assert segments_of(ask) == [b"hello"]

    @given(noise=st.text(max_size=200), role=st.sampled_from(["system", "developer", "assistant", "tool"]))
    def test_what_others_say_changes_nothing(self, noise, role):
        alone = ask_of(("user", "first"), ("user", "second"))
        among = ask_of((role, noise), ("user", "first"), (role, noise), ("user", "second"), (role, noise))
        assert segments_of(among) == segments_of(alone) == [b"second", b"first"]

    def test_prior_turns_come_newest_first_with_falling_weights(self):
        ask = ask_of(*(("user", f"turn {number}") for number in range(6)))
        assert segments_of(ask) == [b"turn 5", b"turn 4", b"turn 3", b"turn 2"]
        assert [segment.weight for segment in ask.segments] == list(SEGMENT_WEIGHTS)
        assert list(SEGMENT_WEIGHTS) == sorted(SEGMENT_WEIGHTS, reverse=True)

    def test_every_user_turn_is_counted_though_four_are_read(self):
        ask = ask_of(*(("user", f"turn {number}") for number in range(6)))
        assert (ask.segment_count, ask.user_turns) == (ASK_SEGMENTS, 6)

    def test_an_invisible_turn_is_no_turn(self):
        ask = ask_of(("user", "hello"), ("user", " \n\t "), ("user", ""))
        assert segments_of(ask) == [b"hello"]
        assert ask.user_turns == 1

    @pytest.mark.parametrize("text", ["", " ", "\n" * 5000, "\t \r\n", "\x01\x02"])
    def test_whitespace_only_is_nothing_to_classify(self, text):
        ask = ask_of(("user", text))
        assert (ask.segment_count, ask.length, ask.user_turns, ask.truncated) == (0, 0, 0, 0)

    def test_no_messages_are_no_ask(self):
        assert ask_of().segment_count == 0

    def test_a_record_that_was_used_before_leaves_no_trace(self):
        used, fresh = Ask(), Ask()
        read_ask(*conversation(("user", LONG_ENGLISH), ("user", LONG_ENGLISH)), used)
        messages, text = conversation(("user", "hello"))
        read_ask(messages, text, used)
        read_ask(messages, text, fresh)
        assert segments_of(used) == segments_of(fresh)
        assert (used.length, used.user_turns, used.truncated) == (fresh.length, fresh.user_turns, fresh.truncated)

    def test_only_the_last_messages_are_looked_at(self):
        filler = [("assistant", "x")] * MAX_MESSAGES_READ
        assert ask_of(("user", "too old"), *filler).segment_count == 0
        assert segments_of(ask_of(("user", "just in"), *filler[1:])) == [b"just in"]


class TestHeadAndTail:
    def test_a_short_turn_is_read_whole(self):
        text = "Grüße — 你好 🎉 <b>bold</b>"
        ask = ask_of(("user", text))
        assert segments_of(ask) == [text.encode()]
        assert ask.truncated == 0

    def test_a_long_turn_is_read_at_head_and_tail_and_says_so(self):
        text = "START " + LONG_ENGLISH + " FINISH"
        ask = ask_of(("user", text))
        (read,) = segments_of(ask)
        assert ask.truncated == 1
        assert read.startswith(b"START the quick")
        assert read.endswith(b"runs away  FINISH")
        assert units(read, 0, len(read)) <= (HEAD_TOKENS + TAIL_TOKENS) * UNITS_PER_TOKEN

    def test_the_cut_begins_just_above_the_limit(self):
        word = "word "
        fits = word * ((HEAD_TOKENS + TAIL_TOKENS) * UNITS_PER_TOKEN // units(word.encode(), 0, len(word)) - 1)
        assert ask_of(("user", fits)).truncated == 0
        assert read_user(fits) == fits.rstrip().encode()
        assert ask_of(("user", fits + word * 3)).truncated == 1

    def test_prior_turns_are_read_at_their_head_only(self):
        ask = ask_of(("user", LONG_ENGLISH), ("user", "shorter, please"))
        assert ask.truncated == 0, "what was cut is the ask, not what stood before it"
        prior = segments_of(ask)[1]
        assert LONG_ENGLISH.encode().startswith(prior)
        assert PRIOR_TOKENS - 2 <= estimate(prior, 0, len(prior)) <= PRIOR_TOKENS

    @pytest.mark.parametrize("character", ["a", "é", "ж", "あ", "中", "🎉", "€a", "a🎉é", "    é", "    🎉"])
    @pytest.mark.parametrize("extra", range(4))
    def test_cuts_fall_between_characters(self, character, extra):
        text = "x" * extra + character * 3000
        ask = ask_of(("user", text), ("user", "y" * extra + character * 3000))
        assert ask.truncated == 1
        for segment in segments_of(ask):
            assert "�" not in segment.decode()  # raises where a character was cut

    @given(st.lists(st.tuples(st.sampled_from(ROLES), st.text(max_size=3000) | st.binary(max_size=3000)), max_size=8))
    def test_the_segments_lie_in_the_ask_one_after_the_other(self, turns):
        ask = ask_of(*turns)
        position = 0
        for segment in ask.segments[: ask.segment_count]:
            assert segment.start == position
            assert segment.length > 0
            position += segment.length
        assert position == ask.length <= ASK_BYTES

    @given(st.lists(st.tuples(st.just("user"), st.text(max_size=3000)), min_size=1, max_size=5))
    def test_what_is_read_of_text_is_text(self, turns):
        for segment in segments_of(ask_of(*turns)):
            segment.decode()

    @given(st.text(alphabet=st.characters(exclude_characters="<", exclude_categories=["Cs"]), max_size=150))
    def test_a_short_text_without_tags_is_read_to_the_letter(self, text):
        expected = text.encode()
        while expected and expected[-1] <= 32:
            expected = expected[:-1]
        assert read_user(text) in (expected, b"")
        assert (read_user(text) == b"") == all(byte <= 32 for byte in expected)


class TestHarness:
    @pytest.mark.parametrize("block", BLOCKS)
    @pytest.mark.parametrize(
        "form", ["{b} fix it", "fix {b}it", "fix it {b}", "{b}{b}fix it{b}{b}", "{b}\n\nfix it\n{b}\n"]
    )
    def test_blocks_do_not_vote(self, block, form):
        content = f"<{block}>you are in a git repository; write code\n</{block}>"
        read = read_user(form.replace("{b}", content))
        assert b"repository" not in read
        assert block.encode() not in read
        assert b" ".join(read.split()) == b"fix it"

    @pytest.mark.parametrize("tag", ['<system-reminder id="1">', "<SYSTEM-REMINDER>", "<System-Reminder >"])
    def test_attributes_and_case_do_not_hide_a_block(self, tag):
        name = tag.strip("<>").split()[0]
        assert read_user(f"{tag}python rust</{name}>why?") == b"why?"
        assert read_user(f"why? {tag}python rust</{name.lower()}>") == b"why?"

    @pytest.mark.parametrize("wrapper", WRAPPERS)
    def test_wrappers_lose_their_tags_and_keep_their_content(self, wrapper):
        assert read_user(f"<{wrapper}>tell a joke</{wrapper}>") == b"tell a joke"
        assert read_user(f"<{wrapper.upper()}>tell a joke</{wrapper.upper()}>") == b"tell a joke"

    @pytest.mark.parametrize(
        "text", ["a < b and c > d", "<div>hello</div>", "vector<int> v;", "x <- y", "<", "<>", "</>"]
    )
    def test_other_angle_brackets_stay(self, text):
        assert read_user(text) == text.encode()

    def test_a_harness_only_turn_is_no_turn(self):
        ask = ask_of(("user", "real question"), ("user", "<system-reminder>todo list</system-reminder>"))
        assert segments_of(ask) == [b"real question"]
        assert ask.user_turns == 1

    @pytest.mark.parametrize("form", ["{b} fix it", "fix {b}it", "fix it {b}"])
    def test_a_nested_block_ends_where_the_outer_one_does(self, form):
        inner = "<system-reminder>inner</system-reminder>"
        block = f"<system-reminder>outer {inner} outer again {inner} end</system-reminder>"
        assert b" ".join(read_user(form.replace("{b}", block)).split()) == b"fix it"

    @pytest.mark.parametrize("form", ["{b} fix it", "fix {b}it", "fix it {b}"])
    def test_blocks_of_other_names_nest(self, form):
        block = "<user_info>os <system-reminder>inner</system-reminder> shell</user_info>"
        assert b" ".join(read_user(form.replace("{b}", block)).split()) == b"fix it"

    def test_an_opening_tag_that_a_block_mentions_does_not_swallow_the_ask(self):
        block = "<system-reminder>never write <system-reminder> yourself</system-reminder>"
        assert read_user(f"{block}fix it") == b"fix it"

    @pytest.mark.parametrize("text", ["<system-reminder>fix it", "fix it<system-reminder>", "fix </system-reminder>it"])
    def test_an_unclosed_block_loses_its_tag_only(self, text):
        assert b" ".join(read_user(text).split()) == b"fix it"

    def test_a_block_in_the_middle_of_a_long_turn_does_not_count_as_length(self):
        block = f"<tool_result>{LONG_ENGLISH}</tool_result>"
        ask = ask_of(("user", f"summarize {block} in one line"))
        assert segments_of(ask) == [b"summarize  in one line"]
        assert ask.truncated == 0

    def test_a_huge_block_at_the_end_leaves_the_ask(self):
        ask = ask_of(("user", "what is this? <environment_details>" + "file.py " * 3500 + "</environment_details>"))
        assert segments_of(ask) == [b"what is this?"]

    def test_many_blocks(self):
        ask = ask_of(("user", "<rules>r</rules>" * 300 + "hello" + "<rules>r</rules>" * 300))
        assert segments_of(ask) == [b"hello"]

    @given(
        st.lists(
            st.sampled_from(
                ["<system-reminder>", "</system-reminder>", "<rules>", "</rules>", "<task>", "</", "<", ">", "/"]
            )
            | st.text(max_size=5),
            max_size=40,
        )
    )
    def test_any_mix_of_tags_is_read(self, parts):
        ask = ask_of(("user", "".join(parts)), ("user", "".join(reversed(parts))))
        assert ask.length <= ASK_BYTES


FORMS = {
    "words": lambda size: b"some words and " * (size // 15),
    "spaces": lambda size: b"a" + b" " * (size - 1),
    "blocks": lambda size: b"<rules>x</rules>" * (size // 16),
    "spaced blocks": lambda size: (b"<rules>x</rules>" + b" " * 600) * (size // 616),
    "unclosed blocks": lambda size: b"<rules>" * (size // 7),
    "closing tags": lambda size: b"</rules>" * (size // 8),
    "brackets": lambda size: b"<" * size,
    "brackets before a closing tag": lambda size: b"<" * (size - 8) + b"</rules>",
    "one long name": lambda size: b"<rules></" + b"a" * (size - 9),
    "opening brackets in a block": lambda size: b"<rules>" + b"</a<" * ((size - 15) // 4) + b"</rules>",
    "not UTF-8": lambda size: b"\x80" * size,
}


class TestBoundedWork:
    @pytest.mark.parametrize("form", FORMS)
    def test_the_work_does_not_grow_with_the_prompt(self, form):
        reads = []
        for size in (1_000_000, 10_000_000):
            messages, data = conversation(("user", FORMS[form](size)))
            text = CountingBuffer(data)
            read_ask(messages, text, Ask())
            reads.append(text.reads)
        assert reads[1] <= reads[0] + 100
        assert max(reads) < 250_000

    def test_the_work_does_not_grow_with_the_number_of_messages(self):
        reads = []
        for count in (1_000, 10_000):
            messages, data = conversation(*[("user", "hello there " * 50)] * count)
            text = CountingBuffer(data)
            read_ask(messages, text, Ask())
            reads.append(text.reads)
        assert reads[0] == reads[1] < 20_000
