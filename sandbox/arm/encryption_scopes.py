"""Encryption scopes of storage accounts: each has a key of its own, and the account's identity.

Recorded: storage-accounts/py_storage_encryption_scopes.json and
storage_account_encryption_scope_list.json, with the platform's keys only; for a customer's key
the spec example StorageAccountPatchEncryptionScope.json.
"""

from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sandbox.arm.errors import ArmError, method_not_allowed, parent_not_found
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import vault_name
from sandbox.arm.key_users import KeyUsers
from sandbox.arm.operations import AT_LOCATION, Written
from sandbox.arm.pace import Pace
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource, ResourceStore
from sandbox.arm.storage_accounts import POLL, StorageAccounts
from sandbox.arm.storage_bodies import invalid_value, stamp
from sandbox.arm.storage_keys import (
    account_principal,
    authentication_failure,
    missing_key_properties,
    usable_version,
)
from sandbox.clock import SandboxClock
from sandbox.key_vault import KeyUnusable, KeyVaults, KeyVersion
from sandbox.truth import Truth

PLATFORM_KEYS = "Microsoft.Storage"
CUSTOMER_KEYS = "Microsoft.KeyVault"
"""With a capital V, unlike the account's (spec example)."""
_STATES = ("Enabled", "Disabled")


class ScopeFields:
    """How an encryption scope names its key; see ``KeyFields``."""

    looks_every = POLL  # docs: encryption-scope-overview, as for the account
    works_for = timedelta(0)
    accepted = 202
    polling = AT_LOCATION
    hands_over = False
    properties: tuple[str, ...] = ("source", "keyVaultProperties")
    shows_late = False

    def __init__(self, vaults: KeyVaults, identities: Identities, store: ResourceStore) -> None:
        self._vaults = vaults
        self._identities = identities
        self._store = store

    def written(self, body: Body) -> Body:
        """See ``KeyFields.written``."""
        uri = body["properties"].get("keyVaultProperties", {}).get("keyUri")
        return {"keyUri": uri} if uri else {}

    def follows(self, body: Body) -> bool:
        """See ``KeyFields.follows``."""
        uri = self.written(body).get("keyUri")
        return uri is not None and len(_words(uri)) == len(("keys", "NAME"))

    def wanted(self, resource_id: ResourceId, body: Body, when: datetime) -> tuple[KeyVersion, str]:
        """See ``KeyFields.wanted``: the identity is the account's."""
        account = resource_id.parent and self._store.find(resource_id.parent)
        if not account:
            raise parent_not_found(resource_id.parent or resource_id)
        principal = account_principal(self._identities, account.body)
        vault, key, version = _split(self.written(body)["keyUri"])
        return usable_version(self._vaults, vault, key, version, when), principal

    def show(self, body: Body, version: KeyVersion, when: datetime) -> None:
        """See ``KeyFields.show``."""
        body["properties"]["keyVaultProperties"].update(
            currentVersionedKeyIdentifier=version.kid, lastKeyRotationTimestamp=stamp(when)
        )

    def refused(self, unusable: KeyUnusable | None) -> ArmError:
        """See ``KeyFields.refused``: as for the account (inference)."""
        del unusable
        return authentication_failure()

    def begin(self, body: Body) -> None:
        """See ``KeyFields.begin``: a scope has no ``provisioningState``."""

    def end(self, body: Body, *, succeeded: bool) -> None:
        """See ``KeyFields.end``."""

    def looked(self, resource: Resource, refusal: ArmError | KeyUnusable | None) -> None:
        """See ``KeyFields.looked``: a scope that is refused shows nothing of it."""


class EncryptionScopes:
    """The provider of ``Microsoft.Storage/storageAccounts/encryptionScopes``."""

    type = "Microsoft.Storage/storageAccounts/encryptionScopes"
    api_versions = StorageAccounts.api_versions
    etags = False

    def __init__(  # noqa: PLR0913, PLR0917 - the services that a scope needs
        self,
        clock: SandboxClock,
        vaults: KeyVaults,
        truth: Truth,
        identities: Identities,
        users: KeyUsers,
        accounts: StorageAccounts,
        store: ResourceStore,
    ) -> None:
        self.quota = accounts.quota
        self._clock = clock
        self._truth = truth
        self._users = users
        self._fields = ScopeFields(vaults, identities, store)

    def pace(self, resource_id: ResourceId) -> Pace:
        """Return the pace of a scope, to be changed in place."""
        return self._users.pace(resource_id)

    def shown(self, body: Body, api_version: str, *, listed: bool) -> Body:
        """See ``Provider.shown``: the same at all api-versions (recorded for two)."""
        del api_version, listed
        return body

    def create(
        self, resource_id: ResourceId, request: Body, api_version: str
    ) -> tuple[Written, Resource]:
        """See ``Provider.create``. Recorded: 201, and done."""
        del api_version
        now = stamp(self._clock.now())
        body: Body = {
            "id": str(resource_id),
            "type": self.type,
            "name": resource_id.name.rpartition("/")[2],
            "properties": {
                "source": PLATFORM_KEYS,
                "creationTime": now,
                "lastModifiedTime": now,
                "state": "Enabled",
            },
        }
        double = (request.get("properties") or {}).get("requireInfrastructureEncryption")
        if double is not None:
            body["properties"]["requireInfrastructureEncryption"] = bool(double)
        resource = Resource(resource_id, body)
        self._users.admit(resource_id, self._fields)
        written = self._write(resource, request, now)
        return Written(201, written.shown, written.operation), resource

    def replace(self, resource: Resource, request: Body, api_version: str) -> Written:
        """See ``Provider.replace``. A PUT of a scope that exists updates it (REST docs)."""
        del api_version
        return self.patch(resource, request)

    def patch(self, resource: Resource, request: Body) -> Written:
        """See ``Provider.patch``: all is checked, with the vault too, before anything changes."""
        if resource.operation is not None and not resource.operation.ended:
            message = "An operation is currently performing on this encryption scope."
            raise ArmError(409, "StorageAccountOperationInProgress", message)
        return self._write(resource, request, stamp(self._clock.now()))

    def delete(self, resource: Resource) -> Written:
        """See ``Provider.delete``: a scope can only be disabled (OpenAPI: it has no DELETE)."""
        del resource
        raise method_not_allowed("DELETE")

    def settle(self, resource: Resource) -> None:
        """See ``Provider.settle``."""
        self._users.settle(resource, self._fields)

    def _write(self, resource: Resource, request: Body, now: str) -> Written:
        sent: Body = request.get("properties") or {}
        body, written = _changed(resource.body, sent), Written()
        if body != resource.body:  # recorded: a PATCH that changes nothing leaves the time
            body["properties"]["lastModifiedTime"] = now
        if sent.keys() & {"source", "keyVaultProperties"}:
            written = self._users.take_up(resource, body, self._fields)
        self._truth.count_write(resource.id)
        resource.body, resource.operation = body, written.operation
        if written.operation is not None:
            return written
        return Written(shown=_answered(written.shown or body))


def _changed(body: Body, sent: Body) -> Body:
    """Return ``body`` as a request changes it.

    Raises:
        ArmError: 400 for a value that the service does not know, or a source without its key.
    """
    new = deepcopy(body)
    properties = new["properties"]
    source = _one_of("source", sent.get("source", properties["source"]))
    properties["source"] = source
    properties["state"] = _one_of("state", sent.get("state", properties["state"]))
    if source == PLATFORM_KEYS:
        properties.pop("keyVaultProperties", None)
        return new
    asked: Body = sent.get("keyVaultProperties") or {}
    if "source" in sent and not asked.get("keyUri"):
        raise missing_key_properties()
    if asked.get("keyUri"):
        _split(asked["keyUri"])
        old = properties.get("keyVaultProperties", {})
        properties["keyVaultProperties"] = {**old, "keyUri": asked["keyUri"]}
    return new


def _answered(body: Body) -> Body:
    """Return what a PUT or PATCH answers: recorded with an empty object for platform keys."""
    properties = {"keyVaultProperties": {}, **body["properties"]}
    return {**body, "properties": properties}


def _one_of(name: str, value: Any) -> str:  # noqa: ANN401 - whatever JSON brought
    """Return a known value in the service's own case (OpenAPI: they are case-insensitive)."""
    known = _STATES if name == "state" else (PLATFORM_KEYS, CUSTOMER_KEYS)
    for each in known:
        if str(value).lower() == each.lower():
            return each
    raise invalid_value(f"encryptionScope.{name}", value)


def _split(uri: str) -> tuple[str, str, str]:
    """Return vault, key and version (which may be empty) of a key's URL.

    Raises:
        ArmError: 400: it is none.
    """
    vault = vault_name(uri)
    words = _words(uri)
    if vault is None or words[0] != "keys" or len(words) not in {2, 3}:
        raise invalid_value("encryptionScope.keyVaultProperties.keyUri", uri)
    return vault, words[1], words[2] if len(words) == 3 else ""  # noqa: PLR2004 - keys, name, version


def _words(uri: str) -> list[str]:
    return urlsplit(uri).path.strip("/").split("/")
