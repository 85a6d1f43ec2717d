"""The storage service: accounts, the keys that they use, and the pace at which they change.

Recorded: storage-accounts/customer_managed_key.json. A PATCH is synchronous, and its answer
already names the version in use.
"""

from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta

from sandbox.arm.errors import ArmError
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import find_version, vault_name
from sandbox.arm.operations import Operation, Written
from sandbox.arm.pace import Manner, Move, Pace
from sandbox.arm.provider_quota import ProviderQuota
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.arm.storage_bodies import (
    CUSTOMER_KEYS,
    as_written,
    changed,
    invalid_value,
    new_account,
    show_version,
)
from sandbox.clock import SandboxClock
from sandbox.key_vault import KeyUnusable, KeyVaults, KeyVersion
from sandbox.truth import Truth

_POLL = timedelta(days=1)  # docs: customer-managed-keys-overview, "checks the key vault once daily"


class StorageAccounts:
    """The provider of ``Microsoft.Storage/storageAccounts``."""

    type = "Microsoft.Storage/storageAccounts"
    api_versions: tuple[str, ...] = (
        "2021-09-01",
        "2022-05-01",
        "2022-09-01",
        "2023-01-01",
        "2023-04-01",
        "2023-05-01",
        "2024-01-01",
        "2025-01-01",
        "2025-06-01",
        "2025-08-01",
        "2026-04-01",
        "2026-09-01",
    )

    def __init__(
        self, clock: SandboxClock, vaults: KeyVaults, truth: Truth, identities: Identities
    ) -> None:
        self.etags = False
        """Whether accounts have ETags. Real ones have none; see ``Provider.etags``."""
        self.quota = ProviderQuota(clock)
        self._clock = clock
        self._vaults = vaults
        self._truth = truth
        self._identities = identities
        self._paces: dict[str, Pace] = {}

    def pace(self, resource_id: ResourceId) -> Pace:
        """Return the pace of an account, to be changed in place."""
        return self._paces[resource_id.key]

    def create(self, resource_id: ResourceId, request: Body) -> tuple[int, Resource]:
        """See ``Provider.create``.

        The real service answers 202 and a URL to poll (recorded:
        ps_create_202_retry_after.json); the sandbox is done at once, which the OpenAPI file
        allows too.
        """
        now = self._clock.now()
        resource = Resource(resource_id, new_account(resource_id, request, now))
        self._paces[resource_id.key] = Pace(next_poll_at=now + _POLL)
        return self.patch(resource, request).status, resource

    def replace(self, resource: Resource, request: Body) -> Written:
        """See ``Provider.replace``. A PUT of an account that exists updates it (REST docs)."""
        return self.patch(resource, request)

    def patch(self, resource: Resource, request: Body) -> Written:
        """See ``Provider.patch``: all is checked, with the vault too, before anything changes."""
        _require_idle(resource)
        now = self._clock.now()
        written = Written()
        body = changed(resource.body, request, now)
        if "identity" in request:
            identity = self._identities.assign(body.pop("identity", None), request["identity"])
            body = {"identity": identity, **body} if identity else body
        if "encryption" in (request.get("properties") or {}):
            written = self._encrypt(resource, body, now)
        self._truth.count_write(resource.id)
        resource.body, resource.operation = body, written.operation
        return written

    def delete(self, resource: Resource) -> None:
        """See ``Provider.delete``."""
        _require_idle(resource)
        self.forget(resource.id)

    def forget(self, resource_id: ResourceId) -> None:
        """Drop what is known of an account that no longer exists."""
        self._truth.release(resource_id)
        del self._paces[resource_id.key]

    def rename(self, old: ResourceId, new: ResourceId) -> None:
        """Know an account by another id from now on; its data key stays as it is."""
        self._truth.rename(old, new)
        self._paces[new.key] = self._paces.pop(old.key)

    def settle(self, resource: Resource) -> None:
        """See ``Provider.settle``: accepted moves that are due, and daily polls, in their order."""
        now = self._clock.now()
        pace = self._paces[resource.id.key]
        while True:
            polls = _follows_newest(resource.body) and pace.next_poll_at <= now
            move = pace.pending
            if move and move.when <= now and (not polls or move.when <= pace.next_poll_at):
                pace.pending = None
                self._arrive(resource, move)
            elif polls:
                when, pace.next_poll_at = pace.next_poll_at, pace.next_poll_at + _POLL
                self._poll(resource, pace, when)
            else:
                return

    def _encrypt(self, resource: Resource, body: Body, now: datetime) -> Written:
        """Let ``body`` use the key that it names, or promise to.

        Raises:
            ArmError: 400: the account's identity cannot use the key.
        """
        pace = self._paces[resource.id.key]
        if body["properties"]["encryption"]["keySource"] != CUSTOMER_KEYS:
            self._truth.release(resource.id)
            pace.pending = None
            return Written()
        principal = self._principal(body)
        version = self._resolve(body, now)
        same_reference = as_written(body) == as_written(resource.body)
        same = same_reference and version.kid == self._truth.sealed_by(resource.id)
        written = Written()
        try:
            if same or pace.manner is not Manner.PROMPT:
                self._truth.rehearse(resource.id, version.kid, principal)
            else:
                self._truth.seal(resource.id, version.kid, principal, now)
                show_version(body, version.kid, version.exp, now)
        except KeyUnusable as unusable:
            raise _authentication_failure() from unusable
        if same or pace.manner is Manner.PROMPT:
            pace.pending = None
            body["properties"]["provisioningState"] = "Succeeded"
        else:
            written = _promise(pace, resource, body, Move(pace.due(now), version, principal), now)
        while pace.next_poll_at <= now:
            pace.next_poll_at += _POLL
        return written

    def _arrive(self, resource: Resource, move: Move) -> None:
        """Let an accepted move take effect, or fail."""
        moved = not move.fails and self._move(resource, move)
        if move.operation is not None:
            move.operation.end(None if moved else _authentication_failure())
            resource.body["properties"]["provisioningState"] = "Succeeded" if moved else "Failed"
            resource.tell(move.when)

    def _move(self, resource: Resource, move: Move) -> bool:
        """Take up a version that was promised or found, unless the vault refuses now.

        A refusal leaves the account on its old version, still readable (inference: accounts on
        an expired key go on working, azure-docs#84096).
        """
        try:
            self._truth.seal(resource.id, move.version.kid, move.principal, move.when)
        except KeyUnusable:
            return False
        if move.encryption is not None:
            resource.body["properties"]["encryption"] = move.encryption
        show_version(resource.body, move.version.kid, move.version.exp, move.when)
        return True

    def _poll(self, resource: Resource, pace: Pace, when: datetime) -> None:
        if pace.stands_still:
            return
        try:
            version = self._resolve(resource.body, when)
            principal = self._principal(resource.body)
        except ArmError:
            return
        if version.kid != self._truth.sealed_by(resource.id):
            self._move(resource, Move(when, version, principal))

    def _principal(self, body: Body) -> str:
        chosen = body["properties"]["encryption"].get("identity", {})
        wanted = str(chosen.get("userAssignedIdentity", ""))
        principal = self._identities.principal(body.get("identity"), wanted)
        if principal is None:
            raise _no_identity()
        return principal

    def _resolve(self, body: Body, when: datetime) -> KeyVersion:
        """Return the version that the body's key reference means at ``when``.

        Raises:
            ArmError: 400: there is none, or its vault does not protect it from being purged.
        """
        written = {name: str(value) for name, value in as_written(body).items()}
        vault = vault_name(written["keyvaulturi"])
        if vault is None:
            name = "encryption.keyvaultproperties.keyvaulturi"
            raise invalid_value(name, written["keyvaulturi"])
        version = written.get("keyversion", "")
        found = find_version(self._vaults, vault, written["keyname"], version, when)
        if found is None:
            raise _authentication_failure()
        if "Purgeable" in found.recovery_level:
            raise _not_recoverable()
        return found


def _promise(pace: Pace, resource: Resource, body: Body, move: Move, now: datetime) -> Written:
    """Note a move that takes effect later, and let ``body`` be what a GET shows until then."""
    properties = body["properties"]
    match pace.manner:
        case Manner.LYING:
            asked, shown = properties["encryption"], deepcopy(body)
            show_version(shown, move.version.kid, move.version.exp, now)
            properties["encryption"] = resource.body["properties"]["encryption"]
            pace.promise(replace(move, encryption=asked))
            return Written(shown=shown)
        case Manner.LONG_RUNNING | Manner.FAILING:
            operation = Operation()
            # The one state in the REST docs, besides Creating, that is not final.
            properties["provisioningState"] = "ResolvingDNS"
            fails = pace.manner is Manner.FAILING
            pace.promise(replace(move, operation=operation, fails=fails))
            return Written(202, operation=operation)
        case _:
            pace.promise(move)
            return Written()


def _require_idle(resource: Resource) -> None:
    """Refuse a write during another (code and text: ARO-RP#1197, terraform-provider-azurerm#29351).

    Reported for network rules and deployments; for a change of the key, inference.
    """
    if resource.operation is not None and not resource.operation.ended:
        raise ArmError(
            409,
            "StorageAccountOperationInProgress",
            "An operation is currently performing on this storage account that requires exclusive "
            "access.",
        )


def _follows_newest(body: Body) -> bool:
    written = as_written(body)
    return bool(written) and not written.get("keyversion")


def _authentication_failure() -> ArmError:
    """Refuse a key that the account's identity cannot use (text: azure-docs#84096).

    Reported for missing rights and for an expired key; inference for a key, version or vault
    that does not exist and for a disabled version.
    """
    message = "The operation failed because of authentication issue on the keyvault."
    return ArmError(400, "KeyVaultAuthenticationFailure", message)


def _no_identity() -> ArmError:
    """Refuse an account without an identity (text: azure-service-operator#4122).

    The code is an inference from azure-sdk-for-go#1772: the issue quotes none.
    """
    return ArmError(
        400,
        "MissingMsiHeaders",
        "Missing pre-requisites to enable EncryptionAtRest/Customer Managed Key for this storage "
        "account. For more information, see - https://aka.ms/storagecmkconfiguration",
    )


def _not_recoverable() -> ArmError:
    """Refuse a vault without purge protection (text: azure-cli#12346)."""
    return ArmError(400, "KeyVaultPolicyError", "Keyvault policy recoverable is not set")
