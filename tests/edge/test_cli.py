"""The command line: what each command prints, and how bad input ends: status 2, and a message that says what to fix."""

import hashlib
import json

import pytest
from click.testing import CliRunner

from edgewise.cli import main
from edgewise.config import load_config
from edgewise.core.labels import TASKS
from edgewise.packing import pack_policy
from support.prompts import TRAFFIC

MODEL = """
[models.{name}]
provider = "p"
{price}
context = 1000
ttft_ms = 100
quality = 0.5
"""
PRICE = "price_in = 1\nprice_out = 1"


def run(*arguments: str, stdin: bytes | str | None = None):
    return CliRunner().invoke(main, list(arguments), input=stdin)


def refused(*arguments: str, stdin: bytes | str | None = None) -> str:
    """The message of a run that must end with status 2; never a traceback."""
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return " ".join(result.stderr.split())


@pytest.fixture
def write(tmp_path):
    def write(name: str, content: str | bytes) -> str:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(file)

    return write


class TestHelp:
    @pytest.mark.parametrize(
        "command", [(), *((name,) for name in sorted(main.commands)), ("config", "check"), ("config", "pack")]
    )
    def test_every_command_has_help(self, command):
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert result.output.startswith("Usage: ")
        assert len(result.output.split("\n\n")[1].strip()) > 20

    def test_every_option_says_what_it_does(self):
        for name, command in main.commands.items():
            for parameter in command.params:
                if parameter.param_type_name == "option":
                    assert getattr(parameter, "help", None), f"{name} {parameter.name}"

    def test_the_version(self):
        assert run("--version").output.startswith("edgewise, version ")

    def test_an_unknown_command(self):
        assert "No such command 'rout'" in refused("rout")


class TestRoute:
    def test_words(self):
        result = run("route", "Write a haiku about autumn")
        assert result.exit_code == 0
        assert "then" in result.output
        assert "  - " in result.output

    def test_the_json_shape(self):
        decision = json.loads(run("route", "Write a haiku about autumn", "--json").output)
        assert {"id", "model", "fallbacks", "signals", "confidence", "abstained", "truncated", "tokens", "cost_usd",
                "ttft_ms", "reasons", "runner_up", "edgewise"} <= set(decision)  # fmt: skip
        signals = decision["signals"]
        assert {"task", "domain", "code", "difficulty", "recency", "safety", "language"} <= set(signals)
        assert set(signals["task"]["scores"]) == set(TASKS)
        assert signals["task"]["score"] == max(signals["task"]["scores"].values()) == decision["confidence"]
        assert set(signals["safety"]) == {"harm", "jailbreak", "pii"}
        assert set(signals["language"]) == {"code", "score", "script"}
        assert set(decision["tokens"]) == {"input", "output"}
        assert {"code", "text"} <= set(decision["reasons"][0])
        assert set(decision["runner_up"]) == {"model", "margin"}
        assert {"version", "backend", "engine"} <= set(decision["edgewise"])

    def test_standard_input(self):
        from_stdin = run("route", "-", "--json", stdin="今日の天気は？").output
        assert json.loads(from_stdin) == json.loads(run("route", "今日の天気は？", "--json").output)

    def test_a_request_file_and_constraints_over_it(self, write):
        file = write("r.json", json.dumps({"id": "r1", "text": "hello", "region": "eu-west", "objective": "cost"}))
        decision = json.loads(run("route", "--request", file, "--json").output)
        assert decision["id"] == "r1"
        with_limit = json.loads(run("route", "--request", file, "--max-tokens", "7", "--json").output)
        assert with_limit["tokens"]["output"] == 7

    def test_a_batch_gives_a_line_for_each_request(self):
        result = run("route", "--batch", str(TRAFFIC))
        assert result.exit_code == 0
        lines = [json.loads(line) for line in result.output.splitlines()]
        assert len(lines) == sum(1 for line in TRAFFIC.read_text(encoding="utf-8").split("\n") if line.strip())
        assert all("model" in line or "error" in line for line in lines)

    def test_constraints_hold_for_a_batch_too(self, write):
        file = write("b.jsonl", '{"text": "hello"}\n{"text": "hello", "max_tokens": 100}\n')
        lines = run("route", "--batch", file, "--max-tokens", "7").output.splitlines()
        assert [json.loads(line)["tokens"]["output"] for line in lines] == [7, 7]

    def test_a_request_of_a_batch_that_no_model_serves_keeps_its_line(self, write):
        file = write("b.jsonl", '{"id": "a", "text": "hello", "latency_slo_ms": 1}\n{"id": "b", "text": "hello"}\n')
        first, second = (json.loads(line) for line in run("route", "--batch", file).output.splitlines())
        assert first["id"] == "a"
        assert "ms to its first token" in first["error"]["message"]
        assert second["model"]

    @pytest.mark.parametrize("text", ["", "   ", "\n"])
    def test_a_text_without_words_goes_to_the_default_model(self, text):
        decision = json.loads(run("route", "--json", "--", text).output)
        assert decision["abstained"] is True
        assert decision["reasons"][-1]["code"] == "abstained"

    def test_a_huge_prompt_is_cut_and_says_so(self):
        words = b"please summarize the following minutes of the meeting. "
        decision = json.loads(run("route", "-", "--json", stdin=words * (2_000_000 // len(words))).output)
        assert decision["truncated"] is True
        assert decision["tokens"]["input"] > 250_000
        assert any(reason["code"] == "input_cut" for reason in decision["reasons"])

    def test_a_prompt_of_10_mb_is_cut_says_so_and_fits_a_model_that_takes_as_much(self, write):
        words = b"please summarize the following minutes of the meeting. "
        prompt = words * (10_000_000 // len(words))
        config = write("router.toml", MODEL.format(name="wide", price=PRICE).replace("1000", "10000000"))
        decision = json.loads(run("route", "-", "--json", "--config", config, stdin=prompt).output)
        assert (decision["model"], decision["truncated"]) == ("wide", True)
        message = refused("route", "-", stdin=prompt)
        assert "its head and tail were read" in message
        assert "do not fit gemini-2.0's 1048576 tokens" in message


class TestBadRequests:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "give one of: a text, --request FILE, or --batch FILE"),
            (("a", "--batch", str(TRAFFIC)), "give one of"),
            (("a", "--request", "/no/such/file"), "does not exist"),
            (("a", "--budget-usd", "-1"), "budget_usd: "),
            (("a", "--budget-usd", "nan"), "budget_usd: "),
            (("a", "--budget-usd", "much"), "'much' is not a valid float"),
            (("a", "--max-tokens", "-1"), "max_tokens: "),
            (("a", "--max-tokens", "1.5"), "'1.5' is not a valid integer"),
            (("a", "--latency-slo-ms", "-5"), "latency_slo_ms: "),
            (("a", "--objective", "speed"), "'speed' is not one of"),
            (("a", "--need", "telepathy"), "'telepathy' is not one of"),
            (("a\udce4b",), "character 1 is a lone surrogate"),
            (("a", "--region", "\udce4"), "region: character 0 is a lone surrogate"),
            (("a", "--config", "/no/such/router.toml"), "cannot be read"),
        ],
    )
    def test_on_the_command_line(self, arguments, message):
        assert message in refused("route", *arguments)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "r.json:1: not JSON: Expecting value at column 1"),
            (b'{"text":\n "a"\n', "r.json:3: not JSON: Expecting ',' delimiter"),
            (b'{"text": "a\\ud800b"}', "messages[0].content: character 1 is a lone surrogate"),
            (b'{"text": "a\xe4b"}', "messages[0].content: character 1 is a lone surrogate"),
            (b'{"text": "a\\u0000b"}', "messages[0].content: character 1 is NUL"),
            (b'{"messages": []}', "messages: empty; give at least one message"),
            (b"{}", "messages: missing"),
            (b'{"text": "a", "budget_usd": -3}', "budget_usd: "),
            (b'{"text": "a", "colour": 3}', "colour: unknown; the fields of a request are"),
            (b'[{"text": "a"}]', "write a request as a JSON object"),
            (b"[" * 100_000, "nested too deeply"),
            (b"\xef\xbb\xbf{}", "not JSON: Unexpected UTF-8 BOM"),
            (b"\x00\x01\x02", "not JSON"),
        ],
    )
    def test_in_a_file(self, write, content, message):
        assert message in refused("route", "--request", write("r.json", content)).replace(" │ ", " ")

    def test_the_line_of_a_batch_is_named(self, write):
        file = write("b.jsonl", '{"text": "hello"}\n{"text": 5}\n')
        result = run("route", "--batch", file)
        assert result.exit_code == 2
        assert "b.jsonl:2: messages[0].content: " in " ".join(result.stderr.split())

    @pytest.mark.parametrize("stdin", [b"a\0b", b"a\xffb"])
    def test_on_standard_input(self, stdin):
        assert "messages[0].content: character 1 is" in refused("route", "-", stdin=stdin)

    def test_no_feasible_model_lists_every_model_and_why(self):
        message = refused("route", "hello", "--max-tokens", "2000000000")
        assert "no model can serve this request" in message
        for model in load_config().models:
            assert f"{model} writes at most" in message


class TestBadConfigurations:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[models.a", "router.toml:1: "),
            (MODEL.format(name="a", price="price_in = 1"), "router.toml:2: models.a.price_out: "),
            (MODEL.format(name="a", price="price_in = 0\nprice_out = 1"), "models.a.price_in: 0; write the price"),
            (MODEL.format(name="a", price=PRICE) + '[clusters.code]\nchain = ["b"]\n', 'unknown model "b"'),
            (MODEL.format(name="a", price=PRICE) + '[policy]\ndefault_model = "b"\n', 'unknown model "b"'),
            (MODEL.format(name="a", price=PRICE) + "colour = 1\n", "models.a.colour: "),
            (MODEL.format(name="a", price="price_in = -1\nprice_out = 1"), "models.a.price_in: "),
            ("", "models: "),
        ],
    )
    @pytest.mark.parametrize("command", [("config", "check"), ("config", "pack"), ("route", "hello", "--config")])
    def test_the_file_the_line_and_the_key_are_named(self, write, command, text, message):
        assert message in refused(*command, write("router.toml", text))

    def test_a_good_one(self, write):
        file = write("router.toml", MODEL.format(name="mine", price=PRICE))
        assert run("config", "check", file).output.startswith("1 model of 1 provider")
        assert json.loads(run("route", "hello", "--config", file, "--json").output)["model"] == "mine"

    def test_a_configuration_is_packed_as_the_core_loads_it(self, write, tmp_path):
        file = write("router.toml", MODEL.format(name="m", price=PRICE))
        blob = tmp_path / "policy.bin"
        packed = json.loads(run("config", "pack", file, "-o", str(blob), "--json").output)
        assert blob.read_bytes() == pack_policy(load_config(file))
        digest = hashlib.sha256(blob.read_bytes()).hexdigest()
        assert packed == {"path": str(blob), "bytes": blob.stat().st_size, "sha256": digest}
        assert digest in run("config", "pack", file, "-o", str(blob)).output

    def test_a_place_that_cannot_be_written_is_named(self, write, tmp_path):
        file = write("router.toml", MODEL.format(name="m", price=PRICE))
        assert f"{tmp_path}: Is a directory" in refused("config", "pack", file, "-o", str(tmp_path))


class TestSimulate:
    def test_the_json_shape(self):
        report = json.loads(run("simulate", str(TRAFFIC), "--json").output)
        assert {"requests", "cost_usd", "cost_usd_always_strongest", "saving", "mix", "decision_us", "slo_missed",
                "regions"} <= set(report)  # fmt: skip
        assert set(report["mix"]) == {"task", "model", "language"}
        served = report["requests"] - report["unserved"]
        assert report["requests"] >= 300
        assert all(sum(counts.values()) == served for counts in report["mix"].values())
        assert 0 < report["cost_usd"] < report["cost_usd_always_strongest"]
        assert 0 < report["saving"] < 1

    def test_words(self):
        result = run("simulate", str(TRAFFIC))
        assert result.exit_code == 0
        assert "requests" in result.output
        assert "saved" in result.output

    def test_a_bad_line_is_named(self, write):
        assert "t.jsonl:2: not JSON" in refused("simulate", write("t.jsonl", '{"text": "a"}\n{\n'))


class TestBench:
    def test_the_json_shape(self):
        report = json.loads(run("bench", "--runtime", "wasmtime", "--tokens", "50", "-n", "10", "--json").stdout)
        assert {"commit", "machine", "rows"} <= set(report)
        (row,) = report["rows"]
        assert {"backend", "runtime", "tokens", "n", "inside_us", "call_us", "gzip_bytes", "cold_ms"} <= set(row)
        assert set(row["inside_us"]) == set(row["call_us"]) == {"p50", "p99", "p50_interval"}
        assert 0 < row["inside_us"]["p50"] <= row["inside_us"]["p99"]

    @pytest.mark.parametrize("tokens", ["", "0", "a", "10,", "2000000"])
    def test_bad_sizes(self, tokens):
        assert "write numbers" in refused("bench", "--tokens", tokens)
