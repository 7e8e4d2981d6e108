"""The command `edgewise`: one module for each command, and how all of them fail."""

from edgewise.cli.main import main

__all__ = ["main"]
