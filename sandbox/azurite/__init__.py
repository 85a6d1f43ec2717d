"""Azurite, Microsoft's emulator of blobs, queues and tables, as a child process.

``python -m sandbox.azurite install`` puts the locked version beside the virtual environment's
packages; ``Azurite.start`` runs it.
"""

from sandbox.azurite.output import Operation
from sandbox.azurite.server import Azurite

__all__ = ["Azurite", "Operation"]
