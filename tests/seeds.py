"""Where tests that make up what happens begin: elsewhere every day, or where they are told to."""

import os
from datetime import UTC, datetime

FIRST_SEED = int(os.environ.get("KEYTURN_TEST_SEED", datetime.now(UTC).date().toordinal()))


def replay(seed: int) -> str:
    """Return how to have again what a seed has made up."""
    return f"KEYTURN_TEST_SEED={seed} has it again"
