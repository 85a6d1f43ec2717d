"""What Keyturn's identity must be allowed, action by action: its role, as data.

Names and meanings are those of azure-docs, role-based-access-control/permissions, one page a family
(``storage.md``, ``security.md``, …); what each API asks for is said there or on the API's own page.
What a kind of resource needs comes from its entry.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from shared.catalog import KINDS
from shared.catalog.resource_manager import ASSIGN_IDENTITY, GROUP_READ, JOIN_SUBNET
from shared.domain.kinds import Plane

_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"

SUBSCRIPTIONS_READ = "Microsoft.Resources/subscriptions/read"
PERMISSIONS_READ = "Microsoft.Authorization/permissions/read"
VAULTS_READ = "Microsoft.KeyVault/vaults/read"
KEYS_READ = "Microsoft.KeyVault/vaults/keys/read"
KEYS_ROTATE = "Microsoft.KeyVault/vaults/keys/rotate/action"
KEYS_UPDATE = "Microsoft.KeyVault/vaults/keys/update/action"
POLICIES_READ = "Microsoft.KeyVault/vaults/keyrotationpolicies/read"
BLOBS_READ = f"{_BLOBS}/read"
BLOBS_WRITE = f"{_BLOBS}/write"
BLOBS_DELETE = f"{_BLOBS}/delete"
TAGS_READ = f"{_BLOBS}/tags/read"
TAGS_WRITE = f"{_BLOBS}/tags/write"
BLOBS_FIND = f"{_BLOBS}/filter/action"
EVENTS_SEND = "Microsoft.EventGrid/events/send/action"


class Where(StrEnum):
    """Where a role that has the action is assigned."""

    SUBSCRIPTIONS = "each subscription, whole"
    VAULTS = "the vaults' subscription"
    MOVED = "what is moved"
    GROUPS = "container groups, where they may be made again"
    KEYS = "the keys"
    CONFIGS = "containers of deployment configs"
    CANARY = "the canary's containers"
    POLICY = "the policy's container"
    TOPIC = "the topic"


_ON_DATA = {Where.KEYS, Where.CONFIGS, Where.CANARY, Where.POLICY, Where.TOPIC}


@dataclass(frozen=True, slots=True)
class Right:
    """One action of the role.

    Attributes:
        action: As Azure writes it.
        where: Where it is needed.
        purpose: What for; and when, if not always.
    """

    action: str
    where: Where
    purpose: str

    @property
    def is_data_action(self) -> bool:
        """Whether it stands among a role's ``dataActions``, and not among its ``actions``."""
        return self.where in _ON_DATA


def _of_kinds() -> Iterator[Right]:
    for kind in (each for each in KINDS if each.plane is Plane.ARM):
        for action in kind.search_actions:
            yield Right(action, Where.SUBSCRIPTIONS, f"to find and read every {kind.title}")
        where = Where.GROUPS if kind.recreation else Where.MOVED
        for action in kind.actions:
            if action in _LINKED:
                yield Right(action, where, _LINKED[action])
            elif action not in (*kind.search_actions, GROUP_READ):
                yield Right(action, where, f"to move a {kind.title}")


_LINKED = {
    ASSIGN_IDENTITY: "where the body of a write names a user-assigned identity",
    JOIN_SUBNET: "for groups in a network",
}


def _each_once(rights: Iterable[Right]) -> tuple[Right, ...]:
    """Leave out an action that another kind has asked for at the same place."""
    found: dict[tuple[str, Where], Right] = {}
    for right in rights:
        found.setdefault((right.action, right.where), right)
    return tuple(found.values())


_EVERY = (
    Right(SUBSCRIPTIONS_READ, Where.SUBSCRIPTIONS, "to list what there is to search"),
    Right(PERMISSIONS_READ, Where.SUBSCRIPTIONS, "to tell whether all of it can be read"),
    Right(GROUP_READ, Where.SUBSCRIPTIONS, "to leave managed resource groups alone"),
    *_of_kinds(),
    Right(PERMISSIONS_READ, Where.GROUPS, "to see beforehand that they can be made again"),
    Right(VAULTS_READ, Where.VAULTS, "for the preflight"),
    Right(KEYS_READ, Where.KEYS, "to read keys and their versions"),
    Right(POLICIES_READ, Where.KEYS, "to see whether the vault rotates the key itself"),
    Right(KEYS_ROTATE, Where.KEYS, "where Keyturn has the vault make versions"),
    Right(KEYS_UPDATE, Where.KEYS, "where the policy lets it put an expiry off"),
    Right(BLOBS_READ, Where.CONFIGS, "to list and read them"),
    Right(BLOBS_WRITE, Where.CONFIGS, "to move them"),
    Right(TAGS_READ, Where.CONFIGS, "for blobs with tags, which are kept"),
    Right(TAGS_WRITE, Where.CONFIGS, "for blobs with tags, which are kept"),
    Right(BLOBS_FIND, Where.CONFIGS, "for a source by tag"),
    Right(BLOBS_READ, Where.CANARY, "to read the canary back"),
    Right(BLOBS_WRITE, Where.CANARY, "to write the canary"),
    Right(BLOBS_DELETE, Where.CANARY, "to take the canary away again"),
    Right(BLOBS_READ, Where.POLICY, "to read the policy, where it is a blob"),
    Right(EVENTS_SEND, Where.TOPIC, "to announce what happens"),
)

ROLE: tuple[Right, ...] = _each_once(_EVERY)


def actions(*wheres: Where) -> tuple[str, ...]:
    """Return the actions that are needed at any of some places, each once."""
    return tuple(dict.fromkeys(right.action for right in ROLE if right.where in wheres))


ROLE_READ = actions(Where.SUBSCRIPTIONS)
"""What it takes to search a subscription."""
ROLE_WRITE = actions(Where.MOVED, Where.GROUPS)
"""What it takes to move what was found there."""
