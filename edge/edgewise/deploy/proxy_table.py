"""The proxy table: what the proxy in a Worker reads of a configuration beside the policy.

It holds endpoints, and the keys and rates of tenants as hashes and numbers; API keys of upstreams are the Worker's
secrets, by the names that `api_key_env` gives.
"""

from typing import Any

from edgewise.config import Config
from edgewise.config_models import EndpointConfig


def proxy_table(config: Config) -> dict[str, Any]:
    """The table, as JSON."""
    return {
        "models": {
            name: {"provider": model.provider, "endpoint": _endpoint(name, model.endpoint)}
            for name, model in config.models.items()
        },
        "tenants": {
            name: {"requests_per_minute": tenant.requests_per_minute, "key_sha256": list(tenant.key_sha256)}
            for name, tenant in config.tenants.items()
        },
        "region_header": config.server.region_header,
        "regions": dict(config.server.regions),
    }


def _endpoint(name: str, endpoint: EndpointConfig | None) -> dict[str, Any] | None:
    return None if endpoint is None else {**endpoint.model_dump(mode="json"), "model": endpoint.model or name}
