"""What the use cases need of the outside; ``shared.adapters`` provides it.

Every method may raise ``TransientError`` (the step is queued again) besides what it names.
"""

from shared.ports.app import (
    Announcer,
    Clock,
    Policies,
)
from shared.ports.azure import (
    ANY_VAULT,
    Accepted,
    Canary,
    ConfigFiles,
    EventSubscription,
    File,
    FilePage,
    Inventory,
    Page,
    Progress,
    Reading,
    Resources,
    Surroundings,
    VaultRegistry,
    Vaults,
)
from shared.ports.storage import (
    Drop,
    EvidenceStore,
    Insert,
    Kept,
    Put,
    Queue,
    QueueState,
    Replace,
    Rows,
    Steps,
)

__all__ = [
    "ANY_VAULT",
    "Accepted",
    "Announcer",
    "Canary",
    "Clock",
    "ConfigFiles",
    "Drop",
    "EventSubscription",
    "EvidenceStore",
    "File",
    "FilePage",
    "Insert",
    "Inventory",
    "Kept",
    "Page",
    "Policies",
    "Progress",
    "Put",
    "Queue",
    "QueueState",
    "Reading",
    "Replace",
    "Resources",
    "Rows",
    "Steps",
    "Surroundings",
    "VaultRegistry",
    "Vaults",
]
