"""The componentize-py build, made once for all tests that need it, and as an engine where it runs.

Its hook does what the request's tenant says, and nothing for other requests.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewise.engine import ComponentEngine
from edgewise_build.componentize import build_component
from edgewise_build.workerd import WorkerdEngine, bundle_doors
from support.worker import require_workerd

HOOK = """
import sys
import time

def adjust(request, candidates):
    if request.tenant == "drop":
        return candidates[1:]
    if request.tenant == "reverse":
        return candidates[::-1]
    if request.tenant == "rescore":
        candidates[-1].utility = candidates[0].utility + 1
    if request.tenant == "nobody":
        return []
    if request.tenant == "raise":
        raise RuntimeError(request.task)
    if request.tenant == "exit":
        sys.exit(3)
    if request.tenant == "clock":
        time.time()
    if request.tenant == "file":
        open("/etc/passwd")
    if request.tenant == "import":
        import sqlite3
    if request.tenant == "none":
        return None
    if request.tenant == "print":
        print("hello", file=sys.stderr)
    if request.tenant == "view":
        assert request.messages[0].role == "user" and request.messages[0].content == "Hello", request
        assert request.needs == frozenset({"tools", "live_retrieval"}) and request.region == "us-east", request
        assert request.max_tokens == 77 and request.id == "r1" and request.input_tokens > 0, request
    return candidates
"""


@pytest.fixture(scope="session")
def componentized(weights: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The component."""
    folder = tmp_path_factory.mktemp("componentize")
    (folder / "my_hooks.py").write_text(HOOK)
    build_component(weights, folder / "router.wasm", folder / "my_hooks.py")
    return folder / "router.wasm"


@pytest.fixture(scope="session")
def componentized_engine(componentized: Path, default_policy: bytes) -> ComponentEngine:
    """The component under wasmtime."""
    engine = ComponentEngine(componentized.read_bytes(), backend="componentize-py")
    engine.load_policy(default_policy)
    return engine


@pytest.fixture(scope="session")
def componentized_workerd_engine(
    componentized: Path, default_policy: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerdEngine]:
    """The component in workerd, through the glue that jco makes and the TypeScript of the Worker."""
    require_workerd()
    folder = bundle_doors(componentized, default_policy, "componentize-py", tmp_path_factory.mktemp("componentized"))
    with WorkerdEngine(folder, "componentize-py") as engine:
        yield engine
