"""The storage service: accounts, the keys that they use, and the pace at which they change.

Recorded: storage-accounts/customer_managed_key.json. A PATCH is synchronous, and its answer
already names the version in use.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sandbox.arm.errors import ArmError
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import find_version, vault_name
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


@dataclass(slots=True)
class Pace:
    """How fast one account takes up a key version. The default is at once, as recorded."""

    next_poll_at: datetime
    """When the service next looks, on its own, for a newer version; then once a day. Matters
    to an account that names no version."""
    delay: timedelta = timedelta(0)
    frozen: bool = False
    pending: tuple[datetime, KeyVersion, str] | None = None
    """An accepted move: when it happens, to which version, under whose identity."""

    def slow(self, by: timedelta) -> None:
        """Let later writes be accepted at once but take effect, and show, only after ``by``."""
        self.delay, self.frozen = by, False

    def stuck(self) -> None:
        """Accept later writes, and never take up what they name. Nor poll."""
        self.frozen = True

    def promise(self, version: KeyVersion, principal: str, now: datetime) -> None:
        """Note an accepted move; the same move asked for again happens no later for it."""
        if self.frozen:
            self.pending = None
        elif self.pending is None or self.pending[1].kid != version.kid:
            self.pending = (now + self.delay, version, principal)

    def prompt(self) -> None:
        """Take up later writes at once again."""
        self.delay, self.frozen = timedelta(0), False


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
        return self.patch(resource, request), resource

    def replace(self, resource: Resource, request: Body) -> int:
        """See ``Provider.replace``. A PUT of an account that exists updates it (REST docs)."""
        return self.patch(resource, request)

    def patch(self, resource: Resource, request: Body) -> int:
        """See ``Provider.patch``: all is checked, with the vault too, before anything changes."""
        now = self._clock.now()
        body = changed(resource.body, request, now)
        if "identity" in request:
            identity = self._identities.assign(body.pop("identity", None), request["identity"])
            body = {"identity": identity, **body} if identity else body
        if "encryption" in (request.get("properties") or {}):
            self._encrypt(resource, body, now)
        self._truth.count_write(resource.id)
        resource.body = body
        return 200

    def delete(self, resource: Resource) -> None:
        """See ``Provider.delete``."""
        self._truth.release(resource.id)
        del self._paces[resource.id.key]

    def settle(self, resource: Resource) -> None:
        """See ``Provider.settle``: accepted moves that are due, and daily polls, in their order."""
        now = self._clock.now()
        pace = self._paces[resource.id.key]
        while True:
            polls = _follows_newest(resource.body) and pace.next_poll_at <= now
            due = pace.pending is not None and pace.pending[0] <= now
            if pace.pending and due and (not polls or pace.pending[0] <= pace.next_poll_at):
                when, version, principal = pace.pending
                pace.pending = None
                self._move(resource, version, principal, when)
            elif polls:
                when, pace.next_poll_at = pace.next_poll_at, pace.next_poll_at + _POLL
                self._poll(resource, pace, when)
            else:
                return

    def _encrypt(self, resource: Resource, body: Body, now: datetime) -> None:
        """Let ``body`` use the key that it names.

        Raises:
            ArmError: 400: the account's identity cannot use the key.
        """
        pace = self._paces[resource.id.key]
        if body["properties"]["encryption"]["keySource"] != CUSTOMER_KEYS:
            self._truth.release(resource.id)
            pace.pending = None
            return
        principal = self._principal(body)
        version = self._resolve(body, now)
        kid = version.kid
        unchanged = as_written(body) == as_written(resource.body)
        try:
            if unchanged and kid == self._truth.sealed_by(resource.id):
                self._truth.rehearse(resource.id, kid, principal)
            elif pace.frozen or pace.delay:
                self._truth.rehearse(resource.id, kid, principal)
                pace.promise(version, principal, now)
            else:
                pace.pending = None
                self._truth.seal(resource.id, kid, principal, now)
                show_version(body, kid, version.exp, now)
        except KeyUnusable as unusable:
            raise _authentication_failure() from unusable
        while pace.next_poll_at <= now:
            pace.next_poll_at += _POLL

    def _move(
        self, resource: Resource, version: KeyVersion, principal: str, when: datetime
    ) -> None:
        """Take up a version that was promised or found, unless the vault refuses now.

        A refusal leaves the account on its old version, still readable (inference: accounts on
        an expired key go on working, azure-docs#84096).
        """
        try:
            self._truth.seal(resource.id, version.kid, principal, when)
        except KeyUnusable:
            return
        show_version(resource.body, version.kid, version.exp, when)

    def _poll(self, resource: Resource, pace: Pace, when: datetime) -> None:
        if pace.frozen:
            return
        try:
            version = self._resolve(resource.body, when)
            principal = self._principal(resource.body)
        except ArmError:
            return
        if version.kid != self._truth.sealed_by(resource.id):
            self._move(resource, version, principal, when)

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
