"""The build's one error."""

from edgewise.errors import EdgewiseError


class BuildError(EdgewiseError):
    """The build stopped; the message says where, and what to do."""
