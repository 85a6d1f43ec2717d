"""Every entry of the catalog, and what Microsoft published about each."""

from pathlib import Path

import pytest

from shared.catalog import KINDS
from shared.domain.kinds import Kind, Plane
from shared.domain.shapes import NoReference

DATA = Path(__file__).parents[3] / "shared" / "data"
EXAMPLES = Path(__file__).parent / "examples"
"""Of Microsoft's, where they are not among its files: what is read of each, with its source."""
with_data = pytest.mark.skipif(not DATA.is_dir(), reason="Microsoft's files are not here")

ENTRIES = KINDS
ON_ARM = tuple(kind for kind in ENTRIES if kind.plane is Plane.ARM)
REFERRING = tuple(kind for kind in ENTRIES if not isinstance(kind.shape, NoReference))
WRITTEN = tuple(kind for kind in ON_ARM if kind.write.verb)


def name(kind: Kind) -> str:
    """Return how a test of a kind is called."""
    return kind.id


every_kind = pytest.mark.parametrize("kind", ENTRIES, ids=name)
every_arm_kind = pytest.mark.parametrize("kind", ON_ARM, ids=name)
every_referring_kind = pytest.mark.parametrize("kind", REFERRING, ids=name)
every_written_kind = pytest.mark.parametrize("kind", WRITTEN, ids=name)
every_put_kind = pytest.mark.parametrize(
    "kind", [kind for kind in WRITTEN if kind.write.verb == "PUT"], ids=name
)
every_guarded_kind = pytest.mark.parametrize(
    "kind", [kind for kind in WRITTEN if kind.write.guard], ids=name
)
"""Those of which a write could switch the customer-managed key off."""
