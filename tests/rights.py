"""What the app may do in a subscription of the tests: what the catalog asks for."""

from shared.catalog import KINDS
from shared.domain.kinds import Plane

_ARM = [kind for kind in KINDS if kind.plane is Plane.ARM]

TO_READ = (
    "Microsoft.Resources/subscriptions/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    *(kind.read_action for kind in _ARM),
)
TO_READ_AND_WRITE = tuple(
    dict.fromkeys((*TO_READ, *(action for kind in _ARM for action in kind.actions)))
)
