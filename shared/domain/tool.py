"""What Keyturn is, for those who keep its documents."""

NAME = "keyturn"
VERSION = "0.1.0"
"""As in ``pyproject.toml``, which is not deployed."""
