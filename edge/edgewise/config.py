"""`router.toml`, the one file a user writes: reading and checking it."""

from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from edgewise.catalogue import describe, strongest
from edgewise.config_errors import explain, explain_decoding, read_toml
from edgewise.config_models import ClusterConfig, Config, EndpointConfig, ModelConfig, ObjectiveConfig, PolicyConfig
from edgewise.errors import ConfigError

__all__ = [
    "ClusterConfig",
    "Config",
    "EndpointConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "PolicyConfig",
    "default_catalogue",
    "describe",
    "load_config",
    "parse_config",
    "strongest",
]


def parse_config(text: str, name: str = "router.toml") -> Config:
    """The configuration that the text of a TOML file says; `name` stands in errors.

    Raises ConfigError, which lists every problem as `name:line: key: what is wrong; what to write`.
    """
    data = read_toml(text, name)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(error, Config, text, name)) from None


def load_config(path: Path | str | None = None) -> Config:
    """The configuration in a file; without one, the catalogue that comes with edgewise.

    Raises ConfigError as `parse_config` does, and when the file cannot be read.
    """
    if path is None:
        return parse_config(default_catalogue(), "default.toml")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"{path}: cannot be read ({reason}); name a router.toml, or none for the default") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(explain_decoding(error, str(path))) from None
    return parse_config(text, str(path))


def default_catalogue() -> str:
    """The text of the catalogue that comes with edgewise: a good start for a `router.toml` of one's own."""
    return files("edgewise").joinpath("default.toml").read_text(encoding="utf-8")
