"""The Worker for tests: bundled once a session, and served by real workerd on a free port."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewise.config import load_config
from edgewise.packing import pack_policy
from edgewise_build.checkout import COMPONENT
from edgewise_build.errors import BuildError
from edgewise_build.worker import WorkerBundle, bundle
from edgewise_build.workerd import Workerd, WorkerdEngine, bundle_doors, workerd_binary


def require_workerd() -> None:
    """Skip the test where Node.js or its packages are missing."""
    try:
        workerd_binary()
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def worker_bundle(tmp_path_factory: pytest.TempPathFactory) -> WorkerBundle:
    """The shipped Worker with the default catalogue, as it would be uploaded."""
    if not COMPONENT.exists():
        pytest.skip("the component has not been built: run `make build`")
    require_workerd()
    return bundle(COMPONENT, load_config(), tmp_path_factory.mktemp("worker"))


@pytest.fixture(scope="session")
def worker(worker_bundle: WorkerBundle) -> Iterator[Workerd]:
    """The shipped Worker in workerd."""
    with Workerd(worker_bundle.folder) as server:
        yield server


@pytest.fixture(scope="session")
def workerd_bundle(worker_bundle: WorkerBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The component behind the doors for tests; `worker_bundle` says whether that can be."""
    return bundle_doors(COMPONENT, pack_policy(load_config()), "aot", tmp_path_factory.mktemp("workerd"))


@pytest.fixture(scope="session")
def workerd_engine(workerd_bundle: Path) -> Iterator[WorkerdEngine]:
    """The component in workerd as an engine; it holds the default catalogue's policy."""
    with WorkerdEngine(workerd_bundle) as engine:
        yield engine
