"""What the use cases need of Azure: vaults, resources, their inventory, files, a canary."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.beside import Beside
from shared.domain.errors import PermanentError
from shared.domain.json_paths import Json
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.kinds import Kind
from shared.domain.tallies import Tally
from shared.domain.vault_settings import RotationPolicy, VaultSettings


class Vaults(Protocol):
    """The key vaults. Every method raises ``NotAllowedError`` for a host off the allow-list."""

    def current(self, key: Key) -> VersionState:
        """Return the version the vault names when none is asked for: the newest, even if disabled.

        Raises:
            NotFoundError: There is no such key.
            AccessDeniedError: Our identity may not read it.
        """
        ...

    def versions(self, key: Key) -> Sequence[VersionState]:
        """Return every version, in no order. Raises as ``current``."""
        ...

    def version(self, version: KeyVersion) -> VersionState:
        """Return one version, with its key's type, size and operations. Raises as ``current``."""
        ...

    def created(self, version: KeyVersion) -> datetime:
        """Return when a version was made; it never changes. Raises as ``current``."""
        ...

    def keys(self, vault: str) -> Iterator[Key]:
        """Yield every key of a vault, given by its host. Raises as ``current``."""
        ...

    def rotates_itself(self, key: Key) -> bool:
        """Return whether the key's rotation policy makes versions; not, if we may not read it."""
        ...

    def policy(self, key: Key) -> RotationPolicy:
        """Return the key's rotation policy. Raises as ``current``."""
        ...

    def rotate(self, key: Key) -> VersionState:
        """Have the vault make a new version. Not idempotent. Raises as ``current``."""
        ...

    def expire_at(self, version: KeyVersion, when: datetime) -> VersionState:
        """Let a version expire at another time. Raises as ``current``."""
        ...


class VaultRegistry(Protocol):
    """The key vaults and managed HSMs as Azure Resource Manager keeps them."""

    def settings(self, vault: str) -> VaultSettings:
        """Return how a vault, given by its host, is set up now.

        Raises:
            NotFoundError: Nothing that we may read is a vault of that host.
            GoneError: There was one.
            AccessDeniedError: Our identity may not read it.
            UnreadableError: The answer is no vault, or another one.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSubscription:
    """What Event Grid delivers of a vault's events, and where to.

    Attributes:
        id: Of the subscription, an ARM resource.
        endpoint: Id of the function, or what else events go to; empty: not told.
        types: The event types that it takes; none: every one.
        dead_letters: Whether what cannot be delivered is kept.
        problem: Its state, where it is none in which it works; empty: it works.
    """

    id: str
    endpoint: str
    types: tuple[str, ...]
    dead_letters: bool
    problem: str


class Surroundings(Protocol):
    """What lies around vaults and resources in Azure Resource Manager."""

    def subscriptions(self) -> Sequence[tuple[str, str]]:
        """Return id and name of every subscription that our identity can see."""
        ...

    def under(self, management_group: str) -> Sequence[str]:
        """Return the ids of the subscriptions below a management group, at any depth.

        Raises:
            NotFoundError: There is none of that name, or we may not see it.
            AccessDeniedError: Our identity may not read it.
        """
        ...

    def vaults(self, subscriptions: Sequence[str]) -> Iterator[str]:
        """Yield the hosts of the vaults and managed HSMs in some subscriptions.

        No subscription is named: in all visible ones.
        """
        ...

    def vault_id(self, vault: str) -> str:
        """Return the resource id of a vault, given by its host. Raises as ``VaultRegistry``."""
        ...

    def event_subscriptions(self, vault_id: str) -> Sequence[EventSubscription]:
        """Return who hears of a vault's events, over its system topic or directly.

        Raises:
            AccessDeniedError: Our identity may not read them.
        """
        ...

    def system_topics(self, vault_id: str) -> Sequence[str]:
        """Return the ids of a vault's system topics: a source has one at most."""
        ...

    def audits(self, vault_id: str) -> Sequence[str]:
        """Return the ids of the workspaces to which a vault's audit events are sent.

        Raises:
            AccessDeniedError: Our identity may not read its diagnostic settings.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """A resource as it is now.

    Attributes:
        etag: Guards a write against changes since; empty where the service gives none.
    """

    body: Json
    etag: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A write that the service took. It proves nothing.

    Attributes:
        correlation_id: Finds the write in Azure's activity log; empty if the answer had none.
        operation: Where ARM says how it goes on; empty if the answer named no such place.
    """

    correlation_id: str
    operation: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How a long-running write goes, by its operation.

    Attributes:
        is_running: Whether it goes on: what the resource shows may be what was asked for alone.
        failure: Why it failed; ``None`` if it has not.
    """

    is_running: bool = False
    failure: PermanentError | None = None


class Resources(Protocol):
    """What holds references: resources of Azure Resource Manager, and files by their URLs.

    Every method that takes an id raises ``InvalidResourceIdError`` for what is none.
    """

    def subscriptions(self) -> Sequence[str]:
        """Return the ids of every subscription that our identity can see at all, sorted.

        To see one is not to be allowed to read what is in it: see ``lacking``.
        """
        ...

    def lacking(self, subscription: str, kinds: Sequence[Kind]) -> Sequence[str]:
        """Return the actions that our identity lacks to read all of these kinds in a subscription.

        None: it may read every such resource.
        """
        ...

    def denied(self, resource: str, actions: Sequence[str]) -> Sequence[str]:
        """Return which of some actions our identity may not perform on a resource.

        Where it may not even ask that, the action that asking takes; where there is no such
        resource, all of them.
        """
        ...

    def read(self, kind: Kind, resource: str) -> Reading:
        """Return the resource as it is now.

        Raises:
            GoneError: It does not exist.
            AccessDeniedError: Our identity may not read it.
            UnreadableError: The answer is not a resource.
        """
        ...

    def write(
        self, kind: Kind, resource: str, body: Json, *, request_id: str, etag: str
    ) -> Accepted:
        """Send ``body`` with the kind's verb, guarded by ``etag`` unless that is empty.

        Raises:
            ChangedError: Somebody changed the resource since ``etag``: nothing was written.
            GoneError: It does not exist.
            PermanentError: The service refused it; ``code`` is the service's own.
        """
        ...

    def children(self, kind: Kind, parent: str) -> Iterator[Json]:
        """Yield the resources of a kind that lie under ``parent``, as ARM lists them.

        Raises:
            GoneError: The parent does not exist.
            AccessDeniedError: Our identity may not list them.
        """
        ...

    def delete(self, kind: Kind, resource: str, *, request_id: str) -> Accepted:
        """Delete the resource, which may take its time. Raises as ``write``.

        Raises:
            GoneError: Somebody else has.
        """
        ...

    def progress(self, operation: str) -> Progress:
        """Return how a long-running write goes. Where nobody can tell any more, it has failed."""
        ...

    def managed_by(self, resource: str) -> str:
        """Return the id of what owns the resource's group; empty: nothing does.

        Raises:
            AccessDeniedError: Our identity may not read the group.
        """
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an inventory.

    Attributes:
        resources: Bodies as the inventory has them: ``id``, ``type``, ``location``, ``properties``.
        token: Continues after this page; empty: it is the last.
    """

    resources: Sequence[Json]
    token: str


ANY_VAULT = "*"
"""In the place of a vault's host: whichever it is."""


class Inventory(Protocol):
    """Azure Resource Graph: eventually consistent, and silent about what we may not read."""

    def page(self, *, vault: str, subscriptions: Sequence[str], token: str) -> Page:
        """Return resources of the catalog's types whose properties name ``vault``, a host.

        ``ANY_VAULT``: those whose properties name any.

        Raises:
            RejectedError: Resource Graph refused the query.
        """
        ...

    def parents(self, *, types: Sequence[str], subscriptions: Sequence[str], token: str) -> Page:
        """Return resources of these types, a few at a time: ``id``, ``type``, ``location``.

        Raises as ``page``.
        """
        ...

    def naming(
        self, *, kind: Kind, names: Sequence[str], subscriptions: Sequence[str], token: str
    ) -> Page:
        """Return resources of a kind whose properties name one of ``names``, which are ids.

        Raises as ``page``; ``NotAllowedError`` for what is no id.
        """
        ...

    def tally(self, beside: Beside, subscriptions: Sequence[str]) -> Tally:
        """Count what there is of a type beside consumers, and how much of it has the flag.

        Raises as ``page``.
        """
        ...


@dataclass(frozen=True, slots=True)
class FilePage:
    """One page of a source's listing.

    Attributes:
        urls: Of blobs: in a source told by a tag, of all that have it; in others, of those that
            are named like a deployment config.
        token: Continues after this page; empty: it is the last.
    """

    urls: Sequence[str]
    token: str


@dataclass(frozen=True, slots=True)
class File:
    """A deployment config as it is now.

    Attributes:
        etag: Guards a write against changes since.
    """

    content: bytes
    etag: str


class ConfigFiles(Protocol):
    """The deployment configs of the registered sources, and no other blob.

    Every method raises ``NotAllowedError`` for what no registered source covers.
    """

    def covers(self, url: str) -> bool:
        """Return whether a registered source holds, or would hold, the file. Raises nothing."""
        ...

    def page(self, source: str, token: str) -> FilePage:
        """Return a page of a source, given as it is registered; an empty token: the first.

        Raises:
            GoneError: There is no such container.
            AccessDeniedError: Our identity may not list it.
        """
        ...

    def read(self, url: str) -> File:
        """Return a file as it is now.

        Raises:
            GoneError: It does not exist.
            AccessDeniedError: Our identity may not read it, or its account cannot use its key.
            UnreadableError: It is larger than a deployment config may be, or not named like one.
        """
        ...

    def write(self, url: str, content: bytes, *, etag: str, request_id: str) -> str:
        """Change the content of a file and nothing else; return the service's id of the request.

        Raises:
            ChangedError: Somebody changed the file since ``etag``: nothing was written.
            UnansweredError: The write was sent, and no answer came.
            GoneError: It does not exist.
            PermanentError: The service refused it; ``code`` is the service's own.
        """
        ...


class Canary(Protocol):
    """A blob that is written, read and deleted to see that a storage account works."""

    def try_out(self, resource: str) -> None:
        """Write, read back, compare and delete a small blob in a storage account.

        Args:
            resource: Id of the account.

        Raises:
            UnreadableError: The blob read back as something else.
            PermanentError: The account did not let us; ``code`` is the service's own.
        """
        ...
