"""Every way to run the core, each with the default catalogue, and how to compare what they decide."""

from dataclasses import fields

import pytest

from edgewise.config import load_config
from edgewise.decision import Decision
from edgewise.engine import ComponentEngine, CoreModuleEngine, Engine, PythonEngine, component_bytes
from edgewise.packing import pack_policy
from edgewise.request import Request
from edgewise_build.weights import pack_weights


def require_component() -> bytes:
    """The built component. A test that needs it fails where it is missing: it is what all of this is about."""
    return component_bytes()


@pytest.fixture(scope="session")
def default_policy() -> bytes:
    """The default catalogue as the core loads it."""
    return pack_policy(load_config())


@pytest.fixture(scope="session")
def weights() -> bytes:
    """The committed classifier and language table."""
    return pack_weights()


@pytest.fixture(scope="session")
def module_engine(default_policy: bytes) -> CoreModuleEngine:
    """The core module under wasmtime."""
    engine = CoreModuleEngine(require_component())
    engine.load_policy(default_policy)
    return engine


@pytest.fixture(scope="session")
def component_engine(default_policy: bytes) -> ComponentEngine:
    """The component under wasmtime, through its typed interface."""
    engine = ComponentEngine(require_component())
    engine.load_policy(default_policy)
    return engine


@pytest.fixture(scope="session")
def python_engine(default_policy: bytes, weights: bytes) -> PythonEngine:
    """The core's source under CPython."""
    engine = PythonEngine(weights)
    engine.load_policy(default_policy)
    return engine


def differences(one: Decision, other: Decision) -> dict[str, tuple[object, object]]:
    """The fields in which two decisions differ."""
    names = [field.name for field in fields(Decision)]
    return {
        name: (getattr(one, name), getattr(other, name)) for name in names if getattr(one, name) != getattr(other, name)
    }


def assert_identical(requests: list[Request], reference: Engine, *others: Engine) -> None:
    """All engines decide each request alike, field by field."""
    for request in requests:
        expected = reference.decide(request)
        for engine in others:
            different = differences(expected, engine.decide(request))
            assert not different, f"{request.id}: {reference.runtime} and {engine.runtime} differ in {different}"
