"""The Python proxy's tests of the Responses and the Messages API, asked of the Worker."""

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import httpx
import pytest

from edgewise.config import parse_config
from edgewise_build.worker import WorkerBundle, reconfigured
from edgewise_build.workerd import Workerd
from proxy.test_relay import (  # noqa: F401 - the tests that need no more than a client
    CONFIG,
    MODEL,
    Handler,
    test_a_stream_is_passed_on_and_another_model_takes_over_before_its_text,
    test_a_stream_that_breaks_off_ends_with_one_error,
    test_a_whole_answer_is_passed_on,
    test_bad_requests_name_the_field,
    test_the_official_client_reads_responses,
    test_the_upstream_sees_the_clients_body_the_endpoints_key_and_headers_of_the_api,
    test_where_no_model_speaks_the_api_nobody_answers,
)


@pytest.fixture(scope="module")
def client(worker_bundle: WorkerBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=upstream.serve_forever, daemon=True)
    thread.start()
    text = CONFIG
    for name, price, apis in (("chatty", 1, '["chat"]'), ("small", 2, None), ("large", 3, None)):
        model = MODEL.replace("NAME", name).replace("PRICE", str(price))
        text += model.replace("APIS", apis or '["responses", "messages"]')
    text = text.replace("URL", f"http://127.0.0.1:{upstream.server_port}")
    folder = reconfigured(worker_bundle, parse_config(text, "router.toml"), tmp_path_factory.mktemp("relay"))
    with (
        Workerd(folder, {"RELAY_KEY": "k1"}) as worker,
        httpx.Client(base_url=f"http://127.0.0.1:{worker.port}", timeout=30) as client,
    ):
        yield client
    upstream.shutdown()
    upstream.server_close()
