"""The ground truth: which key version really protects each resource.

It is settled by cryptography, not by what anyone wrote down. Each resource has a data-encryption
key; the resource can be used only while the vault unwraps that key. To move to another version
is to unwrap with the old one and wrap with the new one, which is what a service does too: the
data itself is never re-encrypted.
"""

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from threading import RLock

from sandbox.arm.key_references import key_name, vault_name, versions_of
from sandbox.arm.resource_ids import ResourceId
from sandbox.key_vault import KeyUnusable, KeyVaults

_KEY_BYTES = 32  # AES-256


@dataclass(slots=True)
class _Seal:
    """A resource's data-encryption key, wrapped."""

    digest: bytes
    """SHA-256 of the data-encryption key, which is itself kept nowhere."""
    wrapped: bytes | None = None
    kid: str | None = None
    principal: str = ""
    """Object id of the identity under which it was wrapped."""
    history: list[tuple[datetime, str]] = field(default_factory=list)


class Truth:
    """Wraps, moves and finds the data-encryption keys of all resources."""

    def __init__(self, vaults: KeyVaults) -> None:
        self._vaults = vaults
        self._lock = RLock()
        self._seals: dict[str, _Seal] = {}
        self._writes: Counter[str] = Counter()
        self._creations: Counter[str] = Counter()
        self._deletions: Counter[str] = Counter()
        self._before: list[Callable[[], None]] = []
        self._closed: dict[str, KeyUnusable] = {}

    def settle_by(self, settle: Callable[[], None]) -> None:
        """Call ``settle`` before each answer, so that what is due by now has happened."""
        self._before.append(settle)

    def seal(
        self, resource: ResourceId, kid: str, principal: str, when: datetime, *, opener: str = ""
    ) -> None:
        """Protect a resource by ``kid`` from now on, moving it if it was protected before.

        Args:
            resource: Whose data-encryption key.
            kid: The version to wrap with.
            principal: Object id of the identity to wrap under.
            when: The time of the move.
            opener: Object id of the identity to unwrap the old version under; empty: the one that
                wrapped it.

        Raises:
            KeyUnusable: A version cannot be used by its identity; nothing has changed.
        """
        with self._lock:
            seal = self._seals.get(resource.key)
            if seal is None or seal.wrapped is None:
                dek = secrets.token_bytes(_KEY_BYTES)
                seal = _Seal(sha256(dek).digest(), history=seal.history if seal else [])
                seal.history.append((when, kid))
            else:
                dek = self._unwrap(seal, opener or seal.principal)
            seal.wrapped = self._vaults.wrap(kid, dek, principal)
            seal.kid, seal.principal = kid, principal
            if seal.history[-1][1] != kid:
                seal.history.append((when, kid))
            self._seals[resource.key] = seal

    def rehearse(self, resource: ResourceId, kid: str, principal: str, *, opener: str = "") -> None:
        """Try what ``seal`` would need, and change nothing.

        Raises:
            KeyUnusable: As ``seal`` would.
        """
        with self._lock:
            seal = self._seals.get(resource.key)
            if seal is not None and seal.wrapped is not None:
                self._unwrap(seal, opener or seal.principal)
            self._vaults.wrap(kid, secrets.token_bytes(_KEY_BYTES), principal)

    def close(self, resource: ResourceId, cause: KeyUnusable) -> None:
        """Let a resource be unreadable by its service's own decision, until ``reopen``."""
        with self._lock:
            self._closed[resource.key] = cause

    def reopen(self, resource: ResourceId) -> None:
        """Let a resource be readable again, as far as the vault allows."""
        with self._lock:
            self._closed.pop(resource.key, None)

    def release(self, resource: ResourceId) -> None:
        """Note that no key of ours protects the resource any more."""
        with self._lock:
            seal = self._seals.get(resource.key)
            if seal is not None:
                seal.wrapped, seal.kid = None, None

    def rename(self, old: ResourceId, new: ResourceId) -> None:
        """Know a resource by another id from now on, with its key, its past and its writes."""
        with self._lock:
            if old.key in self._seals:
                self._seals[new.key] = self._seals.pop(old.key)
            if old.key in self._closed:
                self._closed[new.key] = self._closed.pop(old.key)
            self._writes[new.key] = self._writes.pop(old.key, 0)

    def start_counting(self, resource: ResourceId) -> None:
        """Count what happens to a resource from zero again: it has been set up."""
        with self._lock:
            for counter in (self._writes, self._creations, self._deletions):
                del counter[resource.key]

    def count_write(self, resource: ResourceId) -> None:
        """Note that a service accepted a PUT or PATCH of the resource."""
        with self._lock:
            self._writes[resource.key] += 1

    def count_creation(self, resource: ResourceId) -> None:
        """Note that a service accepted a PUT where there was no such resource."""
        with self._lock:
            self._creations[resource.key] += 1

    def count_deletion(self, resource: ResourceId) -> None:
        """Note that a service deleted the resource."""
        with self._lock:
            self._deletions[resource.key] += 1

    def sealed_by(self, resource: ResourceId) -> str | None:
        """Return the version that a service used last, as that service knows it itself."""
        with self._lock:
            seal = self._seals.get(resource.key)
            return seal.kid if seal else None

    def version_in_use(self, resource_id: str) -> str | None:
        """Return the id of the version that protects a resource; ``None`` if none of ours does.

        Every version of the key is tried, and the one that yields the data-encryption key is the
        answer. Where the vault refuses to unwrap at all (the version is disabled, the identity
        has lost its rights), it is the version that last wrapped: see ``can_read``.
        """
        self._settle()
        with self._lock:
            return self._in_use(_key(resource_id))

    def can_read(self, resource_id: str) -> bool:
        """Tell whether a resource can still be used: whether the vault unwraps its key.

        True for a resource that no key of ours protects.
        """
        self._settle()
        return self.refusal(ResourceId.parse(resource_id)) is None

    def refusal(self, resource: ResourceId) -> KeyUnusable | None:
        """Return why the vault does not unwrap a resource's key, as settled by its service.

        ``None``: it does, or no key of ours protects the resource.
        """
        with self._lock:
            seal = self._seals.get(resource.key)
            if seal is None or seal.kid is None:
                return None
            if resource.key in self._closed:
                return self._closed[resource.key]
            try:
                self._unwrap(seal, seal.principal)
            except KeyUnusable as unusable:
                return unusable
            return None

    def users_of(self, kid: str) -> list[str]:
        """Return the ids, in lower case, of the resources that ``kid`` protects."""
        self._settle()
        with self._lock:
            return [key for key in sorted(self._seals) if self._in_use(key) == kid]

    def history(self, resource_id: str) -> list[tuple[datetime, str]]:
        """Return each version that has protected a resource, with the time of its move.

        A resource that got a new data key, as one that was made again, is listed once more, be it
        with the same version.
        """
        self._settle()
        with self._lock:
            seal = self._seals.get(_key(resource_id))
            return list(seal.history) if seal else []

    def writes(self, resource_id: str) -> int:
        """Return how many PUTs and PATCHes of a resource were accepted."""
        with self._lock:
            return self._writes[_key(resource_id)]

    def creations(self, resource_id: str) -> int:
        """Return how often a resource was made again since it was set up."""
        with self._lock:
            return self._creations[_key(resource_id)]

    def deletions(self, resource_id: str) -> int:
        """Return how often a resource was deleted since it was set up."""
        with self._lock:
            return self._deletions[_key(resource_id)]

    def _settle(self) -> None:
        # Never with our own lock held: services call us with theirs.
        for settle in self._before:
            settle()

    def _in_use(self, key: str) -> str | None:
        seal = self._seals.get(key)
        if seal is None or seal.kid is None:
            return None
        opened = (kid for kid in self._versions(seal.kid) if self._opens(seal, kid))
        return next(opened, seal.kid)

    def _unwrap(self, seal: _Seal, principal: str) -> bytes:
        if seal.kid is None or seal.wrapped is None:
            raise ValueError("a resource without a key has nothing to unwrap")
        return self._vaults.unwrap(seal.kid, seal.wrapped, principal)

    def _opens(self, seal: _Seal, kid: str) -> bool:
        try:
            dek = self._vaults.unwrap(kid, seal.wrapped or b"", seal.principal)
        except KeyUnusable:
            return False
        return sha256(dek).digest() == seal.digest

    def _versions(self, kid: str) -> list[str]:
        versions = versions_of(self._vaults, vault_name(kid) or "", key_name(kid))
        return [version.kid for version in versions]


def _key(resource_id: str) -> str:
    return ResourceId.parse(resource_id).key
