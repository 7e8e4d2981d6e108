"""edgewise: an LLM router that runs at the edge.

>>> from edgewise import Router
>>> Router().route("Summarize this in one line: ...").model
'...'
"""

from edgewise.config import Config, load_config
from edgewise.decision import Decision, Reason
from edgewise.errors import ConfigError, EdgewiseError, EngineError, NoFeasibleModelError, RequestError
from edgewise.live import LiveEndpoint
from edgewise.observation import Observation
from edgewise.request import Request
from edgewise.router import Router

__version__ = "0.1.0"

__all__ = [
    "Config",
    "ConfigError",
    "Decision",
    "EdgewiseError",
    "EngineError",
    "LiveEndpoint",
    "NoFeasibleModelError",
    "Observation",
    "Reason",
    "Request",
    "RequestError",
    "Router",
    "__version__",
    "load_config",
]
