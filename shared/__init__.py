"""Keyturn's core: what to move, how it is proven, and the adapters to Azure."""

VERSION = "0.1.0"
"""Of Keyturn: a semantic version, as in ``pyproject.toml``."""
