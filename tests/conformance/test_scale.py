"""A thousand models in fifty regions, each of them observed, against ten: by time inside the module, in one run."""

import random
import time
from typing import Any

import wasmtime

from edgewise.bench import _REPEAT, prompts
from edgewise.engine import CoreModuleEngine
from edgewise.observation import Observation
from edgewise.packing import pack_policy
from edgewise.request import Request
from support.engines import require_component
from support.scene import NOON, config_of

BATCH = 8
ROUNDS = 150


def engine_with(count: int) -> CoreModuleEngine:
    draw = random.Random(1)
    models = {
        f"model-{number:04}": {
            "quality": [0.98, 0.95, draw.uniform(0.5, 0.9), draw.uniform(0.2, 0.9)],
            "price_in": round(draw.uniform(0.1, 80), 2),
            "provider": f"provider-{number % 20}",
            "ttft_ms": draw.randrange(100, 1500),
        }
        for number in range(count)
    }
    engine = CoreModuleEngine(require_component())
    regions = [f"region-{number:02}" for number in range(50)]
    engine.load_policy(pack_policy(config_of(models, policy={"regions": regions})))
    for name in models:
        engine.observe(Observation(model=name, region="region-49", ttft_ms=draw.randrange(100, 1500), at_ms=NOON))
    return engine


def repeat_of(engine: CoreModuleEngine) -> Any:
    module = wasmtime.Module(engine.compiler, _REPEAT)
    return wasmtime.Instance(engine.store, module, [engine.route_function]).exports(engine.store)["repeat"]


def test_a_thousand_models_in_fifty_regions_decide_within_three_times_of_ten() -> None:
    engines = [engine_with(10), engine_with(1000)]
    repeats = [repeat_of(engine) for engine in engines]
    requests = [
        Request.parse({"text": prompt.messages[0].content, "region": "region-49", "at_ms": NOON})
        for prompt in prompts(512)
    ]
    times: list[list[int]] = [[], []]
    for number in range(ROUNDS):
        for engine, repeat, seen in zip(engines, repeats, times, strict=True):
            address = engine.place(requests[number % len(requests)])
            started = time.perf_counter_ns()
            repeat(engine.store, address, BATCH)
            seen.append(time.perf_counter_ns() - started)
    few, many = (sorted(seen)[ROUNDS // 10] for seen in times)
    assert many <= 3 * few, f"{many / few:.2f} times"
