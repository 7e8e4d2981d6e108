"""The errors that a user of edgewise can meet. Each message names what to fix."""


class EdgewiseError(Exception):
    """Base of all errors that edgewise raises on purpose."""


class ConfigError(EdgewiseError):
    """A `router.toml` that cannot be used; names file, line and key."""


class RequestError(EdgewiseError):
    """A request that cannot be read; names the field."""


class NoFeasibleModelError(EdgewiseError):
    """No model of the catalogue can serve the request; `dropped` says why, model by model."""

    def __init__(self, message: str, dropped: "list[tuple[str, str]]") -> None:
        super().__init__(message)
        self.dropped = dropped


class EngineError(EdgewiseError):
    """The compiled module is missing, does not fit this version, or refused a policy."""
