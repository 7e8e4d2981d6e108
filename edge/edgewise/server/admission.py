"""Who may ask, and how often: API keys of clients, bound to tenants, and each tenant's requests a minute."""

import hashlib
import hmac
import logging
import os
import re
import time
from collections.abc import Callable, Mapping

from edgewise.config import Config
from edgewise.server.errors import too_many_requests, unauthorized

KEYS_ENV = "EDGEWISE_CLIENT_KEYS"
"""Keys beside those of the configuration: `tenant:sha256` pairs, with spaces between them."""

_PAIR = re.compile(r"(\S+):([0-9a-f]{64})")
_BEARER = "bearer "
_DEFAULT = "default"
_MINUTE_S = 60.0

_log = logging.getLogger("edgewise.server")


class Keys:
    """The hashes of the keys that open the proxy. Without any, it is open to all."""

    def __init__(self, config: Config, environment: str | None = None) -> None:
        pairs = [(digest, name) for name, tenant in config.tenants.items() for digest in tenant.key_sha256]
        for word in (os.environ.get(KEYS_ENV, "") if environment is None else environment).split():
            if match := _PAIR.fullmatch(word):
                pairs.append((match[2], match[1]))
            else:
                _log.error(
                    "%s: a word is not tenant:sha256, with 64 small hexadecimal digits; it opens nothing", KEYS_ENV
                )
                pairs.append(("", ""))  # closed is the safe side of a mistake
        self._pairs = pairs

    def tenant_of(self, headers: Mapping[str, str]) -> str | None:
        """Whose key the request came with; None where no keys are asked for. Raises HttpError for a wrong one.

        All hashes are compared, each in constant time.
        """
        if not self._pairs:
            return None
        digest = hashlib.sha256(_key_in(headers).encode("latin-1", "replace")).hexdigest()
        found = [tenant for known, tenant in self._pairs if hmac.compare_digest(known, digest)]
        if not found:
            raise unauthorized()
        return found[0]


def _key_in(headers: Mapping[str, str]) -> str:
    """The key, where clients of the OpenAI API put it, or those of the Anthropic API."""
    authorization = headers.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return headers.get("x-api-key", "")


class Rates:
    """A bucket of requests for each tenant that has a limit: it fills steadily, up to those of one minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, tenant: str, config: Config) -> None:
        """Count a request of a tenant. Raises HttpError where it is one too many."""
        name = tenant if tenant in config.tenants else _DEFAULT
        rules = config.tenants.get(name)
        if rules is None or rules.requests_per_minute is None:
            return
        most, now = float(rules.requests_per_minute), self._clock()
        left, at = self._buckets.get(name, (most, now))
        left = min(most, left + (now - at) * most / _MINUTE_S)
        if left < 1:
            self._buckets[name] = left, now
            raise too_many_requests(round((1 - left) * _MINUTE_S / most * 1000))
        self._buckets[name] = left - 1, now
