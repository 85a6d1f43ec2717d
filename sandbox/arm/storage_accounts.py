"""The storage service: accounts, the keys that they use, and the pace at which they change.

Recorded: storage-accounts/customer_managed_key.json. A PATCH is synchronous, and its answer
already names the version in use.
"""

from datetime import datetime, timedelta

from sandbox.arm.errors import ArmError
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import vault_name
from sandbox.arm.key_users import KeyUsers
from sandbox.arm.operations import AT_LOCATION, Written
from sandbox.arm.pace import Pace
from sandbox.arm.provider_quota import ProviderQuota
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.arm.storage_bodies import (
    as_written,
    changed,
    invalid_value,
    new_account,
    show_version,
)
from sandbox.arm.storage_keys import account_principal, authentication_failure, usable_version
from sandbox.clock import SandboxClock
from sandbox.key_vault import KeyUnusable, KeyVaults, KeyVersion
from sandbox.truth import Truth

POLL = timedelta(days=1)  # docs: customer-managed-keys-overview, "checks the key vault once daily"


class StorageFields:
    """How an account names its key; see ``KeyFields``."""

    looks_every = POLL
    works_for = timedelta(0)
    accepted = 202
    polling = AT_LOCATION
    hands_over = False
    properties: tuple[str, ...] = ("encryption",)
    shows_late = False

    def __init__(self, vaults: KeyVaults, identities: Identities) -> None:
        self._vaults = vaults
        self._identities = identities

    def written(self, body: Body) -> Body:
        """See ``KeyFields.written``."""
        return as_written(body)

    def follows(self, body: Body) -> bool:
        """See ``KeyFields.follows``."""
        written = as_written(body)
        return bool(written) and not written.get("keyversion")

    def wanted(self, resource_id: ResourceId, body: Body, when: datetime) -> tuple[KeyVersion, str]:
        """See ``KeyFields.wanted``."""
        del resource_id
        principal = account_principal(self._identities, body)
        written = {name: str(value) for name, value in as_written(body).items()}
        vault = vault_name(written["keyvaulturi"])
        if vault is None:
            name = "encryption.keyvaultproperties.keyvaulturi"
            raise invalid_value(name, written["keyvaulturi"])
        version = written.get("keyversion", "")
        found = usable_version(self._vaults, vault, written["keyname"], version, when)
        return found, principal

    def show(self, body: Body, version: KeyVersion, when: datetime) -> None:
        """See ``KeyFields.show``."""
        show_version(body, version.kid, version.exp, when)

    def refused(self, unusable: KeyUnusable | None) -> ArmError:
        """See ``KeyFields.refused``: one code, whatever the cause."""
        del unusable
        return authentication_failure()

    def begin(self, body: Body) -> None:
        """See ``KeyFields.begin``."""
        # The one state in the REST docs, besides Creating, that is not final.
        body["properties"]["provisioningState"] = "ResolvingDNS"

    def end(self, body: Body, *, succeeded: bool) -> None:
        """See ``KeyFields.end``."""
        body["properties"]["provisioningState"] = "Succeeded" if succeeded else "Failed"

    def looked(self, resource: Resource, refusal: ArmError | KeyUnusable | None) -> None:
        """See ``KeyFields.looked``: an account that is refused shows nothing of it."""


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
        self,
        clock: SandboxClock,
        vaults: KeyVaults,
        truth: Truth,
        identities: Identities,
        users: KeyUsers,
    ) -> None:
        self.etags = False
        """Whether accounts have ETags. Real ones have none; see ``Provider.etags``."""
        self.merges_patches = False
        """Whether a write whose ``keyvaultproperties`` leave out ``keyversion`` keeps the old one.

        Else the account follows the key from then on. Which of the two Azure does is not recorded;
        recorded is that an empty ``keyversion`` lets go of the version.
        """
        self.quota = ProviderQuota(clock)
        self._clock = clock
        self._truth = truth
        self._identities = identities
        self._users = users
        self._fields = StorageFields(vaults, identities)

    def pace(self, resource_id: ResourceId) -> Pace:
        """Return the pace of an account, to be changed in place."""
        return self._users.pace(resource_id)

    def shown(self, body: Body, api_version: str, *, listed: bool) -> Body:
        """See ``Provider.shown``: the same at all api-versions (recorded for two)."""
        del api_version, listed
        return body

    def create(
        self, resource_id: ResourceId, request: Body, api_version: str
    ) -> tuple[Written, Resource]:
        """See ``Provider.create``.

        The real service answers 202 and a URL to poll (recorded:
        ps_create_202_retry_after.json); the sandbox is done at once, which the OpenAPI file
        allows too.
        """
        del api_version
        resource = Resource(resource_id, new_account(resource_id, request, self._clock.now()))
        self._users.admit(resource_id, self._fields)
        return self.patch(resource, request), resource

    def replace(self, resource: Resource, request: Body, api_version: str) -> Written:
        """See ``Provider.replace``. A PUT of an account that exists updates it (REST docs)."""
        del api_version
        return self.patch(resource, request)

    def patch(self, resource: Resource, request: Body) -> Written:
        """See ``Provider.patch``: all is checked, with the vault too, before anything changes."""
        _require_idle(resource)
        written = Written()
        now = self._clock.now()
        body = changed(resource.body, request, now, merges=self.merges_patches)
        if "identity" in request:
            identity = self._identities.assign(body.pop("identity", None), request["identity"])
            body = {"identity": identity, **body} if identity else body
        if "encryption" in (request.get("properties") or {}):
            written = self._users.take_up(resource, body, self._fields)
        self._truth.count_write(resource.id)
        resource.body, resource.operation = body, written.operation
        return written

    def delete(self, resource: Resource) -> Written:
        """See ``Provider.delete``. Its encryption scopes go with it."""
        _require_idle(resource)
        self._users.forget(resource.id)
        resource.gone = True
        return Written()

    def settle(self, resource: Resource) -> None:
        """See ``Provider.settle``."""
        self._users.settle(resource, self._fields)


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
