"""The build's one error."""


class BuildError(Exception):
    """The build stopped; the message says where, and what to do."""
