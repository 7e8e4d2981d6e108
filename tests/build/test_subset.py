"""The subset checker: file, line, and what to write instead."""

import pytest

from edgewise.core.policy import check_policy
from edgewise.core.routing import route
from edgewise_build.subset import check, reachable
from support.modules import core_module

FIRST = 5  # the line of the first statement of a function that a test writes


def problems_of(tmp_path, body: str, head: str = "def f(a: int, b: U8) -> int:", before: str = "") -> list[str]:
    module = core_module(tmp_path, before + head + "\n" + "\n".join("    " + line for line in body.split("\n")))
    return [str(problem) for problem in check([module.f])]


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        ("return [a][0]", "no lists"),
        ("return {1: a}[1]", "no dicts"),
        ("return len({a})", "no sets"),
        ("return max([x for x in range(a)])", "no comprehensions"),
        ("return len({x for x in range(a)})", "no comprehensions"),
        ("return len({x: x for x in range(a)})", "no comprehensions"),
        ("return max(x for x in range(a))", "no generators"),
        ("return (lambda: a)()", "no lambdas"),
        ("def g() -> int:\n    return a\nreturn g()", "no functions inside functions"),
        ("class C:\n    pass\nreturn a", "declare records at the top"),
        ("try:\n    return a\nexcept ValueError:\n    return 0", "nothing raises in the core"),
        ("try:\n    return a\nexcept* ValueError:\n    a = 0\nreturn 0", "nothing raises in the core"),
        ("raise ValueError", "the core cannot raise"),
        ("with b:\n    return a", "no context managers"),
        ("assert a\nreturn a", "the core cannot raise"),
        ("del a\nreturn 0", "nothing is deleted"),
        ("global X\nreturn a", "module state is constant"),
        ("import os\nreturn a", "import at the top"),
        ("from os import sep\nreturn a", "import at the top"),
        ("x: int = a\nreturn x", "a local needs no annotation"),
        ("return (x := a)", "assign on a line of its own"),
        ("match a:\n    case 1:\n        return 0\nreturn a", "write if and elif"),
        ("yield a", "no generators"),
        ("return f'{a}'", "no strings"),
        ("return len('abc')", "'abc' is no integer"),
        ("return a + 0.5", "0.5 is no integer; the core has integers only"),
        ("return a + 1j", "1j is no integer"),
        ("return a / 2", "/ makes a float; write // or a shift"),
        ("a /= 2\nreturn a", "/ makes a float; write // or a shift"),
        ("return a ** 2", "** can make a float"),
        ("return a @ a", "@ is for matrices"),
        ("return a in b", "no membership test"),
        ("return a not in b", "no membership test"),
        ("return a is b", "compare integers with =="),
        ("return a is not b", "compare integers with !="),
        ("return b[-1]", "no negative index"),
        ("return len(b[1:])", "no slices"),
        ("return a, a", "return one integer"),
        ("for x in b:\n    a += x\nreturn a", "loop over range(...)"),
        ("for i in enumerate(b):\n    a += 1\nreturn a", "loop over range(...)"),
        ("print(a)\nreturn a", "print is no core function"),
        ("return int(a)", "int is no core function"),
        ("return sum(b)", "sum is no core function"),
        ("return a.bit_length()", "no method calls"),
        ("return max(a, 1, key=abs)", "max: pass arguments by position"),
        ("return max(*b)", "no unpacking"),
    ],
)
def test_each_construct_outside_the_subset_is_named(tmp_path, body, advice):
    problems = problems_of(tmp_path, body)
    matching = [problem for problem in problems if advice in problem]
    assert matching, problems
    file, line, _ = matching[0].split(":", 2)
    assert file.split("/")[-1].startswith("sample")
    assert FIRST <= int(line) <= FIRST + body.count("\n")


@pytest.mark.parametrize(
    ("head", "advice"),
    [
        ("def f(a: int = 1) -> int:", "plain positional parameters only"),
        ("def f(*a: int) -> int:", "plain positional parameters only"),
        ("def f(*, a: int) -> int:", "plain positional parameters only"),
        ("def f(**a: int) -> int:", "plain positional parameters only"),
        ("def f(a) -> int:", "parameter 'a': annotate it int"),
        ("def f(a: str) -> int:", "parameter 'a': annotate it int"),
        ("def f(a: list[int]) -> int:", "parameter 'a': annotate it int"),
        ("def f(a: int):", "annotate the result as int, bool or None"),
        ("def f(a: int) -> float:", "annotate the result as int, bool or None"),
        ("def f(a: int) -> U8:", "annotate the result as int, bool or None"),
        ("async def f(a: int) -> int:", "the core never waits"),
    ],
)
def test_each_signature_outside_the_subset_is_named(tmp_path, head, advice):
    problems = problems_of(tmp_path, "return 0", head)
    assert any(advice in problem and f".py:{FIRST - 1}:" in problem for problem in problems), problems


def test_what_the_subset_allows(tmp_path):
    source = """
    LIMITS = (1, 2, 3)
    STEP = 4


    class Pair(Record):
        left: i32
        right: Annotated[U8, 4]


    def helper(pair: Pair, pairs: Records[Pair], flag: bool) -> bool:
        pair.left = len(pairs) if flag else 0
        return pair.left > 0 and not flag


    def f(a: int, text: U8, pair: Pair, pairs: Records[Pair]) -> int:
        \"\"\"Docstrings are strings, and fine.\"\"\"
        total, rest = 0, a
        for index in range(0, len(text), 2):
            if text[index] == LIMITS[index % len(LIMITS)] or 1 < a <= STEP:
                continue
            total += text[index] << 2 ^ a & ~rest | -a // 3
        while rest > 0:
            rest -= 1
            if rest == 5:
                break
        pairs[0].right[1] = min(255, max(0, abs(total)))
        return total if helper(pair, pairs, total > 1) else STEP
    """
    assert check([core_module(tmp_path, source).f]) == []


def test_a_problem_in_a_function_that_is_called_is_found(tmp_path):
    module = core_module(
        tmp_path, "def g(a: int) -> int:\n    return a / 2\n\n\ndef f(a: int) -> int:\n    return g(a)\n"
    )
    (problem,) = check([module.f])
    assert (problem.line, problem.advice) == (5, "/ makes a float; write // or a shift")


def test_the_line_is_right_under_a_decorator(tmp_path):
    module = core_module(
        tmp_path, "def same(g: object) -> object:\n    return g\n\n\n@same\ndef f(a: int) -> int:\n    return a / 2\n"
    )
    assert [problem.line for problem in check([module.f])] == [10]


def test_what_a_module_computes_at_import_may_be_any_python(tmp_path):
    module = core_module(
        tmp_path, "T = tuple(int(2**0.5 * i) for i in range(3))\n\n\ndef f(a: int) -> int:\n    return T[a]\n"
    )
    assert check([module.f]) == []


def test_the_core_keeps_to_it():
    assert check([route, check_policy]) == []
    names = {function.__name__ for function in reachable([route, check_policy])}
    assert {"read_ask", "classify", "identify", "choose", "estimate", "check_policy"} <= names
