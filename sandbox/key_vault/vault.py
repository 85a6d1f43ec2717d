"""One vault: its keys, their versions, and who may use them."""

import secrets
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any, Literal

from sandbox.clock import SandboxClock
from sandbox.key_vault import material
from sandbox.key_vault.access import (
    Grants,
    Permission,
    forbidden_by_hsm,
    forbidden_by_policy,
    forbidden_by_rbac,
)
from sandbox.key_vault.errors import (
    bad_parameter,
    key_deleted,
    key_exists,
    key_not_found,
    purge_protected,
)
from sandbox.key_vault.events import EventType, access_policy_event, key_event
from sandbox.key_vault.keys import EC_OPERATIONS, RSA_OPERATIONS, KeyVersion, NewKey
from sandbox.key_vault.material import Material
from sandbox.key_vault.network import Network
from sandbox.key_vault.rotation_policy import RotationPolicy

type OnEvent = Callable[[str, dict[str, Any]], None]
"""Takes the resource id of the topic and an event in the Event Grid schema."""
type Backups = dict[bytes, tuple[KeyVersion, ...]]
"""The backups taken of any vault, by their opaque content."""

type Domain = Literal["vault.azure.net", "managedhsm.azure.net"]

VAULT_DOMAIN: Domain = "vault.azure.net"
HSM_DOMAIN: Domain = "managedhsm.azure.net"
_BACKUP_PREFIX = b"&AzureKeyVaultKeyBackupV1.microsoft.com"
_MAX_RETENTION_DAYS = 90


@dataclass(slots=True)
class _Key:
    versions: list[KeyVersion]
    """In the order in which they were made: the last one is current."""
    policy: RotationPolicy = field(default_factory=RotationPolicy)


@dataclass(frozen=True, slots=True)
class DeletedKey:
    """A key in the state between its deletion and its purge."""

    version: KeyVersion
    deleted: datetime
    purged: datetime

    def bundle(self) -> dict[str, Any]:
        """Return the answer to its deletion. Recorded: key-vault/keyvault_key.json #32."""
        return {
            "recoveryId": f"{self.version.vault_uri}/deletedkeys/{self.version.name}",
            "deletedDate": int(self.deleted.timestamp()),
            "scheduledPurgeDate": int(self.purged.timestamp()),
            **self.version.bundle(),
        }


@dataclass(slots=True, kw_only=True)
class Vault:
    """A vault, or a managed HSM. Names of keys are found without regard to case.

    What is assigned to its attributes holds from then on. The methods take what the service's HTTP
    routes take and raise ``KeyVaultError`` as the service answers; they ask for no permission,
    except ``wrap`` and ``unwrap``.
    """

    name: str
    location: str
    resource_id: str
    tenant_id: str
    purge_protection: bool
    retention_days: int
    clock: SandboxClock
    on_event: OnEvent
    backups: Backups
    domain: Domain = VAULT_DOMAIN
    """What follows the name in its host: this makes it a vault or a managed HSM."""
    rbac: bool = True
    """Whether rights are roles; else they are access policies."""
    soft_delete: bool = True
    """Only shown: every vault has it since 2025, but reports it as it was made (docs: overview)."""
    sku: Literal["standard", "premium"] = "standard"
    """Only shown; keys in HSMs are made in either."""
    network: Network = field(default_factory=Network)
    grants: Grants = field(default_factory=Grants)
    heard_since: datetime | None = None
    """Since when somebody hears its events: of expiries it tells for versions made later only
    (docs: "Monitoring Key Vault with Event Grid", Warning)."""
    _told_until: datetime | None = None
    _keys: dict[str, _Key] = field(default_factory=dict)
    _deleted: dict[str, tuple[_Key, DeletedKey]] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock)

    @property
    def uri(self) -> str:
        """The URL of the vault, without a slash at the end."""
        return f"https://{self.host}"

    @property
    def host(self) -> str:
        """The name at which the vault answers, in the case in which the vault was made."""
        return f"{self.name}.{self.domain}"

    @property
    def audience(self) -> str:
        """For what resource a token must be issued to be accepted here."""
        return f"https://{self.domain}"

    @property
    def recovery_level(self) -> str:
        """What happens to deleted keys, by the names of ``DeletionRecoveryLevel``."""
        level = (
            "Recoverable" if self.retention_days == _MAX_RETENTION_DAYS else "CustomizedRecoverable"
        )
        return level if self.purge_protection else f"{level}+Purgeable"

    def grant(self, principal: str, permissions: AbstractSet[Permission]) -> None:
        """Let ``principal`` (an object id) do what ``permissions`` name, for every key."""
        with self._lock:
            self.grants.grant(principal, permissions)
        self._tell_of_policies()

    def revoke(self, principal: str) -> None:
        """Take every permission from ``principal``."""
        with self._lock:
            self.grants.revoke(principal)
        self._tell_of_policies()

    def use_roles(self, *, rbac: bool) -> None:
        """Let roles say what principals may do, or access policies again.

        An event tells of that, as of any change of access policies, and none of roles (docs: Key
        Vault as an Event Grid source).
        """
        changed, self.rbac = self.rbac is not rbac, rbac
        if changed:
            self._publish_access_policies()

    def admit(self, principal: str, *, trusted: bool) -> None:
        """Refuse a caller whom the firewall shuts out; see ``Network.check``."""
        self.network.check(principal, trusted=trusted, vault=self._place)

    def authorize(self, principal: str, permission: Permission, name: str | None) -> None:
        """Refuse a caller that lacks ``permission`` for the key ``name`` (``None``: the vault)."""
        with self._lock:
            if self.grants.hold(principal, permission, as_roles=self.rbac):
                return
        if self.domain == HSM_DOMAIN:
            raise forbidden_by_hsm(permission, name)
        if not self.rbac:
            raise forbidden_by_policy(
                principal, permission, tenant_id=self.tenant_id, vault=self._place
            )
        raise forbidden_by_rbac(
            principal,
            permission,
            self.resource_id if name is None else f"{self.resource_id}/keys/{name}",
            tenant_id=self.tenant_id,
            location=self.location,
        )

    def create_key(
        self, name: str, spec: NewKey | None = None, *, when: datetime | None = None
    ) -> str:
        """Make a key, or a new version of it if there is one; return the version's ``kid``.

        Args:
            name: Of the key.
            spec: What it is to be like.
            when: At what time in the past it was made; ``None``: now.
        """
        spec = spec or NewKey()
        if self.domain == HSM_DOMAIN:
            spec = spec.in_hsm()
        made = material.generate(spec.kty, spec.key_size, spec.curve)
        with self._lock:
            version = self._add(name, spec, made, when or self.clock.now())
        self._publish("KeyNewVersionCreated", version)
        return version.kid

    def rotate(self, name: str, *, when: datetime | None = None) -> str:
        """Make a new version like the current one; return its ``kid``.

        It is enabled whatever the current one is, and expires as the rotation policy says
        (recorded: exp = created + expiryTime exactly). That tags are kept is unverified.

        Args:
            name: Of the key.
            when: At what time in the past, after the current one; ``None``: now.
        """
        current = self.find(name)
        made = material.like(current.material)
        with self._lock:
            now = when or self.clock.now()
            expiry = self._key(name).policy.expiry_of(now)
            spec = NewKey(
                kty=current.kty,
                key_ops=current.key_ops,
                exp=None if expiry is None else int(expiry.timestamp()),
                tags=current.tags,
            )
            version = self._add(name, spec, made, now)
        self._publish("KeyNewVersionCreated", version)
        return version.kid

    def find(self, name: str, version: str | None = None) -> KeyVersion:
        """Return a version, by default the current one: the newest even if it is disabled."""
        with self._lock:
            versions = self._key(name).versions
            if not version:
                return versions[-1]
            for candidate in versions:
                if candidate.version == version.lower():
                    return candidate
        raise key_not_found(f"{name}/{version}")

    def versions(self, name: str) -> list[KeyVersion]:
        """Return all versions of a key in the order in which they were made, oldest first."""
        with self._lock:
            return list(self._key(name).versions)

    def current_versions(self) -> list[KeyVersion]:
        """Return the current version of every key, by name."""
        with self._lock:
            return [key.versions[-1] for _, key in sorted(self._keys.items())]

    def update(self, name: str, version: str | None, changes: Mapping[str, Any]) -> KeyVersion:
        """Change a version's attributes, operations or tags, by the body of a PATCH.

        Args:
            name: Of the key.
            version: The version; ``None``: the current one.
            changes: For example ``{"attributes": {"enabled": False, "exp": 1795456800}}``.
        """
        attributes = changes.get("attributes") or {}
        named = {key: attributes[key] for key in ("enabled", "nbf", "exp") if key in attributes}
        if changes.get("key_ops") is not None:
            named["key_ops"] = tuple(changes["key_ops"])
        if changes.get("tags") is not None:
            named["tags"] = dict(changes["tags"])
        with self._lock:
            found = self.find(name, version)
            changed = replace(found, updated=int(self.clock.now().timestamp()), **named)
            versions = self._key(name).versions
            versions[versions.index(found)] = changed
        return changed

    def set_enabled(self, kid: str, enabled: bool) -> None:  # noqa: FBT001 - an assignment
        """Enable or disable the version that ``kid`` names."""
        name, version = kid.split("/")[-2:]
        self.update(name, version, {"attributes": {"enabled": enabled}})

    def set_expiry(self, kid: str, when: datetime | None) -> None:
        """Let the version that ``kid`` names expire at ``when``; ``None``: never."""
        name, version = kid.split("/")[-2:]
        exp = None if when is None else int(when.timestamp())
        self.update(name, version, {"attributes": {"exp": exp}})

    def backdate(self, kid: str, days: int) -> None:
        """Let the version that ``kid`` names have been made so many days earlier."""
        name, version = kid.split("/")[-2:]
        with self._lock:
            found, versions = self.find(name, version), self._key(name).versions
            made = found.created - days * 86400
            versions[versions.index(found)] = replace(found, created=made)

    def announce_near_expiry(self, kid: str) -> None:
        """Publish ``Microsoft.KeyVault.KeyNearExpiry`` for the version that ``kid`` names, now.

        ``tell_of_expiries`` does so by the clock; here it is the test that says when, and how
        often.
        """
        name, version = kid.split("/")[-2:]
        self._publish("KeyNearExpiry", self.find(name, version))

    def announce_expired(self, kid: str) -> None:
        """Publish ``Microsoft.KeyVault.KeyExpired`` for the version that ``kid`` names, now."""
        name, version = kid.split("/")[-2:]
        self._publish("KeyExpired", self.find(name, version))

    def tell_of_expiries(self) -> None:
        """Publish what the clock has passed since the last call: ends of current versions.

        They are told of when the rotation policy's Notify says, by default 30 days before, and
        when they come (docs: Key Vault as an Event Grid source; "Configure key auto-rotation").
        What a moment that had passed already when the expiry was set gives is unknown: nothing.
        """
        with self._lock:
            now = self.clock.now()
            since, self._told_until = self._told_until or now, now
            if self.heard_since is None:
                return
            heard = [
                (key.versions[-1], key.policy)
                for key in self._keys.values()
                if key.versions[-1].created >= int(self.heard_since.timestamp())
            ]
        for version, policy in heard:
            if version.exp is None:
                continue
            created, ends = (datetime.fromtimestamp(t, UTC) for t in (version.created, version.exp))
            if since < policy.notice_at(created, ends) <= now:
                self._publish("KeyNearExpiry", version)
            if since < ends <= now:
                self._publish("KeyExpired", version)

    def rotation_policy(self, name: str) -> dict[str, Any]:
        """Return the rotation policy of a key as the service shows it."""
        with self._lock:
            key = self._key(name)
            return key.policy.shown(f"{self.uri}/keys/{key.versions[-1].name}/rotationpolicy")

    def set_rotation_policy(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the rotation policy of a key, by the body of a PUT; return it as shown."""
        with self._lock:
            key = self._key(name)
            now = int(self.clock.now().timestamp())
            key.policy = RotationPolicy.read(body, now=now, created=key.policy.created)
            return self.rotation_policy(name)

    def backup(self, name: str) -> bytes:
        """Return a backup of a key and all its versions, which only this sandbox can read."""
        with self._lock:
            blob = _BACKUP_PREFIX + secrets.token_bytes(32)
            self.backups[blob] = tuple(self._key(name).versions)
            return blob

    def restore(self, blob: bytes) -> KeyVersion:
        """Bring a key back from a backup of this or another vault; return its current version.

        Versions keep their ids and dates (recorded: keyvault_key.json #38). That the rotation
        policy does not come along, and that no event is sent, is unverified.
        """
        if blob not in self.backups:
            raise bad_parameter("The backup blob is not valid.")
        with self._lock:
            versions = [
                replace(
                    version,
                    vault_uri=self.uri,
                    recovery_level=self.recovery_level,
                    recoverable_days=self.retention_days,
                )
                for version in self.backups[blob]
            ]
            name = versions[-1].name
            if name.lower() in self._keys:
                raise key_exists(name)
            if name.lower() in self._deleted:
                raise key_deleted(name)
            self._keys[name.lower()] = _Key(versions)
            return versions[-1]

    def delete(self, name: str) -> DeletedKey:
        """Delete a key with all its versions; it can be recovered until it is purged."""
        with self._lock:
            key = self._key(name)
            now = self.clock.now()
            deleted = DeletedKey(key.versions[-1], now, now + timedelta(days=self.retention_days))
            self._deleted[name.lower()] = (self._keys.pop(name.lower()), deleted)
            return deleted

    def deleted(self, name: str) -> DeletedKey:
        """Return a key that is deleted and not yet recovered."""
        with self._lock:
            if name.lower() not in self._deleted:
                raise key_not_found(name)
            return self._deleted[name.lower()][1]

    def purge(self, name: str) -> None:
        """Destroy a deleted key, unless the vault protects its keys from that."""
        with self._lock:
            self.deleted(name)
            if self.purge_protection:
                raise purge_protected()
            del self._deleted[name.lower()]

    def recover(self, name: str) -> KeyVersion:
        """Undo a deletion; return the current version."""
        with self._lock:
            self.deleted(name)
            self._keys[name.lower()], _ = self._deleted.pop(name.lower())
            return self.find(name)

    def wrap(
        self, name: str, version: str | None, secret: bytes, *, principal: str, algorithm: str
    ) -> tuple[KeyVersion, bytes]:
        """Wrap ``secret`` for ``principal``; return the version that did it, and the blob."""
        self.authorize(principal, "wrapKey", name)
        found = self.find(name, version)
        found.check_usable("wrapKey", self.clock.now())
        return found, material.wrap(found.material, algorithm, secret)

    def unwrap(
        self, name: str, version: str | None, blob: bytes, *, principal: str, algorithm: str
    ) -> tuple[KeyVersion, bytes]:
        """Unwrap ``blob`` for ``principal``; return the version that did it, and the secret."""
        self.authorize(principal, "unwrapKey", name)
        found = self.find(name, version)
        found.check_usable("unwrapKey", self.clock.now())
        return found, material.unwrap(found.material, algorithm, blob)

    @property
    def _place(self) -> str:
        return f"{self.name};location={self.location}"

    def _key(self, name: str) -> _Key:
        if name.lower() not in self._keys:
            raise key_not_found(name)
        return self._keys[name.lower()]

    def _add(self, name: str, spec: NewKey, made: Material, now: datetime) -> KeyVersion:
        if name.lower() in self._deleted:
            raise key_deleted(name)
        key = self._keys.get(name.lower())
        operations = EC_OPERATIONS if spec.kty.startswith("EC") else RSA_OPERATIONS
        version = KeyVersion(
            vault_uri=self.uri,
            name=key.versions[-1].name if key else name,
            version=secrets.token_hex(16),
            kty=spec.kty,
            key_ops=operations if spec.key_ops is None else spec.key_ops,
            created=int(now.timestamp()),
            updated=int(now.timestamp()),
            enabled=spec.enabled,
            nbf=spec.nbf,
            exp=spec.exp,
            tags=spec.tags,
            recovery_level=self.recovery_level,
            recoverable_days=self.retention_days,
            material=made,
        )
        if key:
            key.versions.append(version)
        else:
            self._keys[name.lower()] = _Key([version])
        return version

    def _tell_of_policies(self) -> None:
        if not self.rbac:
            self._publish_access_policies()

    def _publish_access_policies(self) -> None:
        event = access_policy_event(self.uri, self.name, self.resource_id, self.clock.now())
        self.on_event(self.resource_id, event)

    def _publish(self, kind: EventType, version: KeyVersion) -> None:
        event = key_event(kind, version, self.name, self.resource_id, self.clock.now())
        self.on_event(self.resource_id, event)
