"""Traffic to replay: JSON lines and Parquet, cut anywhere, each row once."""

import json

import pyarrow
import pyarrow.parquet
import pytest

from edgewise.errors import EdgewiseError, RequestError
from edgewise.simulation.rows import Row, parts_of, read_part, read_rows

LINES = [
    {"id": "1", "text": "hello"},
    {"id": "2", "text": "größer\u2028als", "outcomes": {"a": 1, "b": 0.25}},
    {"id": "3", "messages": [{"role": "user", "content": "x" * 90}], "region": "us-east"},
    {"id": "4", "text": "y"},
]


@pytest.fixture
def traffic(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text("\n\n".join(json.dumps(line, ensure_ascii=False) for line in LINES), encoding="utf-8")
    return file


def ids(rows) -> list[str]:
    return [row.request.id for row in rows]


def test_a_row_is_a_request_that_may_carry_outcomes(traffic):
    rows = list(read_rows(traffic))
    assert ids(rows) == ["1", "2", "3", "4"]
    assert rows[1].outcomes == {"a": 10_000, "b": 2_500}
    assert rows[0].outcomes == {}


def test_wherever_a_file_is_cut_each_row_is_read_once(traffic):
    for part_bytes in range(1, traffic.stat().st_size + 1):
        parts = parts_of(traffic, part_bytes)
        assert ids(row for part in parts for row in read_part(part)) == ["1", "2", "3", "4"], part_bytes


def test_an_empty_file_has_no_rows(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(b"")
    assert list(read_rows(tmp_path / "t.jsonl")) == []


@pytest.mark.parametrize("part_bytes", [1, 20, 10_000])
def test_the_line_of_an_error_does_not_depend_on_the_cut(tmp_path, part_bytes):
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "a"}\n\n{"text": "b"}\n{"text": 3}\n{"text": "c"}\n')
    with pytest.raises(RequestError, match=r"t\.jsonl:4: "):
        [row for part in parts_of(file, part_bytes) for row in read_part(part)]


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ([1], "outcomes: write scores"),
        ({"a": 1.5}, "outcomes.a: 1.5 is not a score"),
        ({"a": True}, "outcomes.a: true is not a score"),
        ({"a": "1"}, 'outcomes.a: "1" is not a score'),
    ],
)
def test_bad_outcomes_are_named(outcomes, message):
    with pytest.raises(RequestError, match=message):
        Row.parse({"text": "a", "outcomes": outcomes})


class TestParquet:
    @pytest.fixture
    def parquet(self, tmp_path):
        columns = {
            "id": ["1", "2", "3"],
            "text": ["hello", None, None],
            "messages": [None, [{"role": "user", "content": "x"}], [{"role": "user", "content": "y"}]],
            "outcomes": [[("a", 1.0)], None, [("b", 0.5)]],
            "latency_slo_ms": [None, 500, None],
        }
        kinds = {"outcomes": pyarrow.map_(pyarrow.string(), pyarrow.float64())}
        table = pyarrow.table({name: pyarrow.array(column, kinds.get(name)) for name, column in columns.items()})
        pyarrow.parquet.write_table(table, tmp_path / "t.parquet", row_group_size=2)
        return tmp_path / "t.parquet"

    def test_columns_are_fields_and_nulls_are_absent(self, parquet):
        rows = list(read_rows(parquet))
        assert ids(rows) == ["1", "2", "3"]
        assert [row.outcomes for row in rows] == [{"a": 10_000}, {}, {"b": 5_000}]
        assert rows[1].request.latency_slo_ms == 500

    def test_row_groups_are_the_parts(self, parquet):
        assert [ids(read_part(part)) for part in parts_of(parquet)] == [["1", "2"], ["3"]]

    def test_messages_may_be_json(self, tmp_path):
        messages = [json.dumps([{"role": "user", "content": "a"}]), "[", json.dumps([])]
        pyarrow.parquet.write_table(pyarrow.table({"messages": messages}), tmp_path / "t.parquet", row_group_size=1)
        first, *others = parts_of(tmp_path / "t.parquet")
        assert next(read_part(first)).request.messages[0].content == "a"
        for number, part in enumerate(others, 2):
            with pytest.raises(RequestError, match=rf"t\.parquet: row {number}: messages: "):
                list(read_part(part))

    def test_what_is_no_parquet_is_said(self, tmp_path):
        (tmp_path / "t.parquet").write_text("{}")
        with pytest.raises(EdgewiseError, match=r"t\.parquet: not Parquet"):
            parts_of(tmp_path / "t.parquet")


def test_a_directory_is_all_its_files(traffic):
    (traffic.parent / "a.jsonl").write_text('{"id": "0", "text": "a"}')
    (traffic.parent / "notes.txt").write_text("no traffic")
    assert ids(read_rows(traffic.parent)) == ["0", "1", "2", "3", "4"]


def test_a_directory_without_traffic_is_an_error(tmp_path):
    with pytest.raises(EdgewiseError, match="no traffic in this directory"):
        parts_of(tmp_path)
