"""Markdown that commands write."""

from edgewise.markdown import table


def test_a_table_escapes_bars_in_cells():
    assert table(["a", "b"], [["1", "x|y"]]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |"
