"""One version of a key, and how Key Vault shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from sandbox.key_vault.errors import (
    bad_parameter,
    key_disabled,
    key_expired,
    key_not_yet_valid,
    operation_forbidden,
)
from sandbox.key_vault.material import Material, public_jwk

RSA_OPERATIONS = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey")
EC_OPERATIONS = ("sign", "verify")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVersion:
    """One version of a key, as it was when it was asked for. Times are Unix seconds."""

    vault_uri: str
    """Without a slash at the end."""
    name: str
    version: str
    """32 hex digits without order or meaning."""
    kty: str
    key_ops: tuple[str, ...]
    created: int
    updated: int
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    tags: Mapping[str, str] | None = None
    recovery_level: str
    recoverable_days: int
    material: Material

    @property
    def kid(self) -> str:
        """The URL of this version."""
        return f"{self.vault_uri}/keys/{self.name}/{self.version}"

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes as JSON. Recorded: keyvault_key.json #2, #50 (``hsmPlatform`` of HSM)."""
        dates = {"nbf": self.nbf, "exp": self.exp}
        return {
            "enabled": self.enabled,
            **{name: value for name, value in dates.items() if value is not None},
            "created": self.created,
            "updated": self.updated,
            "recoveryLevel": self.recovery_level,
            "recoverableDays": self.recoverable_days,
            "exportable": False,
            "hsmPlatform": "2" if self.kty.endswith("-HSM") else "0",
        }

    def bundle(self) -> dict[str, Any]:
        """Return the answer to a GET of this version."""
        key = {
            "kid": self.kid,
            "kty": self.kty,
            "key_ops": list(self.key_ops),
            **public_jwk(self.material),
        }
        return {"key": key, "attributes": self.attributes, **self._tags()}

    def item(self, *, of_key: bool = False) -> dict[str, Any]:
        """Return this version's line in a list, without key material.

        Args:
            of_key: In the list of a vault's keys, where the id names no version.
        """
        kid = self.kid.rpartition("/")[0] if of_key else self.kid
        return {"kid": kid, "attributes": self.attributes, **self._tags()}

    def check_usable(self, operation: str, now: datetime) -> None:
        """Refuse what this version may not be used for at ``now``.

        A disabled version refuses everything (a user saw a live vault still wrap with one, in
        azure-sdk-for-python issue 45342, but that SDK wraps without asking the vault). One that
        has expired, or is not yet valid, still unwraps: docs, "About keys", date-time controlled
        operations.

        Raises:
            KeyVaultError: It may not.
        """
        if operation not in self.key_ops:
            raise operation_forbidden(operation)
        if not self.enabled:
            raise key_disabled(operation)
        if operation == "unwrapKey":
            return
        if self.nbf is not None and now.timestamp() < self.nbf:
            raise key_not_yet_valid(operation)
        if self.exp is not None and now.timestamp() >= self.exp:
            raise key_expired(operation)

    def _tags(self) -> dict[str, Any]:
        return {} if self.tags is None else {"tags": dict(self.tags)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a key, or a version of one, is to be like."""

    kty: str = "RSA"
    key_size: int | None = None
    curve: str | None = None
    key_ops: tuple[str, ...] | None = None
    """``None``: all that the type allows."""
    enabled: bool = True
    nbf: int | None = None
    """Unix seconds, as is ``exp``."""
    exp: int | None = None
    tags: Mapping[str, str] | None = None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """Read the body of a create.

        Raises:
            KeyVaultError: It names no ``kty``.
        """
        if not isinstance(body.get("kty"), str):
            raise bad_parameter("Property kty is missing.")
        attributes = body.get("attributes") or {}
        return cls(
            kty=body["kty"],
            key_size=body.get("key_size"),
            curve=body.get("crv"),
            key_ops=None if body.get("key_ops") is None else tuple(body["key_ops"]),
            enabled=attributes.get("enabled") is not False,
            nbf=attributes.get("nbf"),
            exp=attributes.get("exp"),
            tags=body.get("tags"),
        )

    def in_hsm(self) -> Self:
        """Return the same for a managed HSM, where every key is made in the HSM.

        Recorded for ``AES``, which becomes ``oct-HSM`` (azure-sdk-for-js, keyvault-keys); inference
        for the other types.
        """
        return self if self.kty.endswith("-HSM") else replace(self, kty=f"{self.kty}-HSM")
