"""What several tests of the sandbox need."""

from pathlib import Path

import pytest


@pytest.fixture(name="recordings", scope="session")
def _recordings() -> Path:
    """The folder of exchanges that were recorded with the real services."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "recordings"
    if not folder.is_dir():
        pytest.skip("the recordings are not on this machine")
    return folder
