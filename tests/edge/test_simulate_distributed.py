"""The replay in parts, here and on a local Ray cluster: the same sums as in one go, to the last picodollar."""

import json
import sys
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from edgewise.config import load_config
from edgewise.errors import EdgewiseError, RequestError
from edgewise.router import Router
from edgewise.simulation import Report, read_rows, replay
from edgewise.simulation.distributed import replay_on_ray, replay_part
from edgewise.simulation.replay import empty_report
from edgewise.simulation.report import total_of
from edgewise.simulation.rows import parts_of
from support.prompts import TRAFFIC

CONFIG = load_config()
PART_BYTES = 15_000


def in_json(report: Report) -> dict[str, Any]:
    return {key: value for key, value in report.to_json().items() if key != "decision_us"}


@pytest.fixture(scope="module")
def whole() -> Report:
    return replay(Router(CONFIG), read_rows(TRAFFIC))


def assert_the_same(report: Report, whole: Report) -> None:
    assert report.total == whole.total
    assert in_json(report) == in_json(whole)
    assert sum(report.decision_us.values()) == whole.total.requests


def test_parts_add_up_to_the_whole(whole):
    parts = parts_of(TRAFFIC, PART_BYTES)
    assert len(parts) > 4
    assert_the_same(total_of((replay_part(CONFIG, part) for part in reversed(parts)), empty_report(CONFIG)), whole)


def test_without_ray_what_to_install_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EdgewiseError, match=r"pip install 'edgewise\[ray\]'"):
        next(replay_on_ray(CONFIG, parts_of(TRAFFIC)))


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.heavy
@pytest.mark.usefixtures("cluster")
class TestOnRay:
    def test_json_lines(self, whole):
        assert_the_same(total_of(replay_on_ray(CONFIG, parts_of(TRAFFIC, PART_BYTES)), empty_report(CONFIG)), whole)

    def test_parquet(self, whole, tmp_path):
        lines = [json.loads(line) for line in TRAFFIC.read_text(encoding="utf-8").splitlines()]
        rows = [{key: json.dumps(one) if key == "messages" else one for key, one in line.items()} for line in lines]
        table = pyarrow.Table.from_pylist(rows, schema=_schema(rows))
        pyarrow.parquet.write_table(table, tmp_path / "t.parquet", row_group_size=40)
        parts = parts_of(tmp_path / "t.parquet")
        assert len(parts) == 8
        assert_the_same(total_of(replay_on_ray(CONFIG, parts), empty_report(CONFIG)), whole)

    def test_an_error_names_the_line_as_it_does_here(self, tmp_path):
        file = tmp_path / "t.jsonl"
        file.write_text('{"text": "a"}\n' * 5 + "{\n")
        with pytest.raises(RequestError, match=r"t\.jsonl:6: not JSON") as error:
            list(replay_on_ray(CONFIG, parts_of(file, 20)))
        assert "Traceback" not in str(error.value)


def _schema(rows: list[dict[str, Any]]) -> pyarrow.Schema:
    """The types of all columns: a first row alone does not show them."""
    kinds: dict[str, pyarrow.DataType] = {}
    for row in rows:
        for name, value in row.items():
            kinds[name] = pyarrow.scalar(value).type
    return pyarrow.schema(kinds.items())
