"""Cosmos DB: accounts whose reference never names a version, and which follow the current one.

Recorded: cosmosdb-accounts/cosmosdb_key_vault_key_uri_2021.json (a creation). Every write answers
200 and goes on (recorded for PUT; OpenAPI for PATCH). Nobody has recorded a rotation.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sandbox.arm import cosmos_status
from sandbox.arm.cosmos_bodies import FIRST_PARTY, changed, new_account, show_state, shown_at
from sandbox.arm.errors import ArmError
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import find_version, key_name, vault_name
from sandbox.arm.key_users import KeyUsers
from sandbox.arm.operations import Polling, Written
from sandbox.arm.pace import Pace
from sandbox.arm.provider_quota import ProviderQuota
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.clock import SandboxClock
from sandbox.key_vault import KeyUnusable, KeyVaults, KeyVersion
from sandbox.truth import Truth

COSMOS_PRINCIPAL = "a232010e-820c-4083-83bb-3ace5fc29d0b"
"""The service's own principal (docs: how-to-setup-customer-managed-keys); there it is an
application's id, and its object id differs by tenant."""
_SYSTEM, _USER = "SystemAssignedIdentity", "UserAssignedIdentity="
_CURRENT = "2025-10-15"
_POLLING = Polling(
    status="operationsStatus", result="operationResults", below_resource=True, working="Dequeued"
)


class CosmosFields:
    """How an account names its key; see ``KeyFields``."""

    looks_every = timedelta(hours=1)  # assumption: docs give no figure for rotations
    works_for = timedelta(seconds=30)  # assumption: recordings keep no times
    accepted = 200
    polling = _POLLING
    hands_over = True
    properties: tuple[str, ...] = ("keyVaultKeyUri", "defaultIdentity")
    shows_late = False

    def __init__(self, vaults: KeyVaults, truth: Truth, identities: Identities) -> None:
        self.version_as_url = False
        """Whether ``keyVaultKeyUriVersion`` is a URL. That it is the version alone is inference,
        from its name and its description ("The version of the Customer Managed Key")."""
        self._vaults = vaults
        self._truth = truth
        self._identities = identities

    def written(self, body: Body) -> Body:
        """See ``KeyFields.written``."""
        properties = body["properties"]
        if not properties.get("keyVaultKeyUri"):
            return {}
        return {name: properties[name] for name in self.properties}

    def follows(self, body: Body) -> bool:
        """See ``KeyFields.follows``: always, even where the URL has a version (inference)."""
        return bool(self.written(body))

    def wanted(self, resource_id: ResourceId, body: Body, when: datetime) -> tuple[KeyVersion, str]:
        """See ``KeyFields.wanted``."""
        uri = str(body["properties"]["keyVaultKeyUri"])
        words = urlsplit(uri).path.strip("/").split("/")
        vault = vault_name(uri)
        if vault is None or words[0] != "keys" or len(words) not in {2, 3}:
            raise cosmos_status.uri_invalid(uri)
        principal = self._principal(body)
        self._vaults.newest(vault, words[1])
        version = find_version(self._vaults, vault, words[1], "", when)
        if version is None:
            raise KeyUnusable("KeyNotFound", f"There was no key '{words[1]}' yet.")
        self._check_recovered(resource_id, body, when)
        if "Purgeable" in version.recovery_level:
            raise cosmos_status.vault_not_protected()
        return version, principal

    def _check_recovered(self, resource_id: ResourceId, body: Body, when: datetime) -> None:
        """Refuse every version to a revoked account while the one that it used last is expired.

        docs: cmk-troubleshooting-guide, "enable the previous key version, or put its expiry off".
        A disabled one needs no check: the vault does not unwrap with it.

        Raises:
            KeyUnusable: It is.
        """
        status = body["properties"].get("customerManagedKeyStatus", cosmos_status.CONFIRMED)
        used = self._truth.sealed_by(resource_id)
        if status == cosmos_status.CONFIRMED or used is None:
            return
        name, version = key_name(used), used.rpartition("/")[2]
        found = find_version(self._vaults, vault_name(used) or "", name, version, when)
        if found and found.exp is not None and found.exp <= when.timestamp():
            raise KeyUnusable("KeyExpired", f"The key version '{used}' is expired.")

    def show(self, body: Body, version: KeyVersion, when: datetime) -> None:
        """See ``KeyFields.show``."""
        del when
        shown = version.kid if self.version_as_url else version.version
        body["properties"]["keyVaultKeyUriVersion"] = shown
        body["properties"]["customerManagedKeyStatus"] = cosmos_status.CONFIRMED

    def refused(self, unusable: KeyUnusable | None) -> ArmError:
        """See ``KeyFields.refused``."""
        return cosmos_status.refused(unusable)

    def begin(self, body: Body) -> None:
        """See ``KeyFields.begin``."""
        if body["properties"]["provisioningState"] != "Creating":
            show_state(body, "Updating")

    def end(self, body: Body, *, succeeded: bool) -> None:
        """See ``KeyFields.end``."""
        show_state(body, "Succeeded" if succeeded else "Failed")

    def looked(self, resource: Resource, refusal: ArmError | KeyUnusable | None) -> None:
        """See ``KeyFields.looked``: what is refused revokes the account, and back again.

        docs: cmk-troubleshooting-guide. In that state its data cannot be read, and allow for an
        hour until it has recovered.
        """
        properties = resource.body["properties"]
        if isinstance(refusal, KeyUnusable):
            self._truth.close(resource.id, refusal)
            properties["customerManagedKeyStatus"] = cosmos_status.revoked(refusal)
        elif refusal is None:
            self._truth.reopen(resource.id)
            properties["customerManagedKeyStatus"] = cosmos_status.CONFIRMED

    def _principal(self, body: Body) -> str:
        default = str(body["properties"]["defaultIdentity"])
        if default == FIRST_PARTY:
            return COSMOS_PRINCIPAL
        user_assigned = default.partition("&")[0].removeprefix(_USER)
        wanted = "" if default == _SYSTEM else user_assigned
        # A user-assigned identity that was deleted is still named; nobody can act as it.
        with suppress(ArmError):
            if principal := self._identities.principal(body.get("identity"), wanted):
                return principal
        raise KeyUnusable("NoIdentity", f"There is no such identity: {default}")


class CosmosAccounts:
    """The provider of ``Microsoft.DocumentDB/databaseAccounts``."""

    type = "Microsoft.DocumentDB/databaseAccounts"
    api_versions: tuple[str, ...] = (
        "2020-04-01",
        "2021-03-15",
        "2024-05-15",
        _CURRENT,
        "2026-03-15",
    )
    etags = False

    def __init__(
        self,
        clock: SandboxClock,
        vaults: KeyVaults,
        truth: Truth,
        identities: Identities,
        users: KeyUsers,
    ) -> None:
        self.quota = ProviderQuota(clock)
        self.fields = CosmosFields(vaults, truth, identities)
        self._clock = clock
        self._truth = truth
        self._identities = identities
        self._users = users

    def pace(self, resource_id: ResourceId) -> Pace:
        """Return the pace of an account, to be changed in place."""
        return self._users.pace(resource_id)

    def shown(self, body: Body, api_version: str, *, listed: bool) -> Body:
        """See ``Provider.shown``."""
        del listed
        return shown_at(body, api_version)

    def create(
        self, resource_id: ResourceId, request: Body, api_version: str
    ) -> tuple[Written, Resource]:
        """See ``Provider.create``."""
        del api_version
        sent: Body = request.get("properties") or {}
        resource = Resource(resource_id, new_account(resource_id, request, self._clock.now()))
        if str(sent.get("defaultIdentity", "")).startswith(_SYSTEM):
            raise cosmos_status.creation_failed(cosmos_status.identity_not_allowed(_SYSTEM))
        self._users.admit(resource_id, self.fields)
        try:
            return self._write(resource, request), resource
        except ArmError as error:
            self._users.forget(resource_id)
            if error.code == "BadRequest":  # documented as it is for an update
                raise
            raise cosmos_status.creation_failed(error) from error

    def made(self, resource_id: ResourceId, request: Body) -> Resource:
        """Return an account whose creation is over."""
        _, resource = self.create(resource_id, request, _CURRENT)
        pace = self.pace(resource_id)
        if pace.pending is not None:
            pace.pending = replace(pace.pending, when=self._clock.now())
        self.settle(resource)
        return resource

    def replace(self, resource: Resource, request: Body, api_version: str) -> Written:
        """See ``Provider.replace``. A PUT of an account that exists updates it (inference)."""
        del api_version
        return self.patch(resource, request)

    def patch(self, resource: Resource, request: Body) -> Written:
        """See ``Provider.patch``: all is checked, with the vault too, before anything changes."""
        if resource.operation is not None and not resource.operation.ended:
            raise cosmos_status.in_progress(resource.id.name)
        sent: Body = request.get("properties") or {}
        status = resource.body["properties"].get("customerManagedKeyStatus")
        revoked = status not in {None, cosmos_status.CONFIRMED}
        only_identity = request.keys() <= {"identity", "properties"} and (
            sent.keys() <= {"defaultIdentity"}
        )
        if revoked and not only_identity:
            raise cosmos_status.no_update_while_revoked()
        return self._write(resource, request)

    def delete(self, resource: Resource) -> Written:
        """See ``Provider.delete``.

        The OpenAPI file has 202 or 204 and no 200; the sandbox is done at once, and answers 204.
        """
        self._users.forget(resource.id)
        self._truth.reopen(resource.id)
        resource.gone = True
        return Written(204)

    def settle(self, resource: Resource) -> None:
        """See ``Provider.settle``."""
        self._users.settle(resource, self.fields)

    def _write(self, resource: Resource, request: Body) -> Written:
        body = changed(resource.body, request)
        sent: Body = request.get("properties") or {}
        if "identity" in request:
            identity = self._identities.assign(body.pop("identity", None), request["identity"])
            body = {**body, "identity": identity} if identity else body
        if self.fields.written(resource.body) and not self.fields.written(body):
            raise cosmos_status.removal_not_supported()
        if sent.keys() & {"keyVaultKeyUri", "defaultIdentity"} and self.fields.written(body):
            written = self._users.take_up(resource, body, self.fields)
        else:
            written = self._users.go_on(resource, body, self.fields)
        self._truth.count_write(resource.id)
        resource.body, resource.operation = body, written.operation
        return written
