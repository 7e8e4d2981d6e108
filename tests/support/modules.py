"""Core modules made of text, for tests of what the build accepts."""

import importlib.util
import itertools
import textwrap
from pathlib import Path
from types import ModuleType

_numbers = itertools.count()

_HEAD = """\
from typing import Annotated
from edgewise.core.types import I8, I16, I32, I64, U8, U16, U32, Record, Records, i8, i16, i32, i64, u8, u16, u32
"""


def core_module(folder: Path, source: str) -> ModuleType:
    """Import the text as a module of `edgewise.core`; its first line is line 4 of the file."""
    name = f"sample{next(_numbers)}"
    file = folder / f"{name}.py"
    file.write_text(_HEAD + "\n" + textwrap.dedent(source).lstrip("\n"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"edgewise.core.{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
