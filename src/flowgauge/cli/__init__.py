"""The command line: one module for each family of commands, and `app`, which puts them together."""

from .app import app, main

__all__ = ["app", "main"]
