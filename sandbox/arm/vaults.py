"""Key vaults as ARM shows them. Read only: they are made and changed on this side of HTTP.

Recorded: storage-accounts/customer_managed_key.json (a vault with access policies) and
key-vault/c7n_keyvault_not_authorized.json (one with a firewall).
"""

from sandbox.arm.errors import method_not_allowed
from sandbox.arm.operations import Written
from sandbox.arm.provider_quota import ProviderQuota
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.clock import SandboxClock
from sandbox.key_vault import KeyVaults, Network, Vault


class Vaults:
    """The provider of ``Microsoft.KeyVault/vaults``.

    A GET shows the vault as it is at that moment, whoever changed it. Managed HSMs are not served.
    """

    type = "Microsoft.KeyVault/vaults"
    api_versions: tuple[str, ...] = (
        "2023-07-01",
        "2024-11-01",
        "2025-05-01",
        "2026-02-01",
        "2026-05-15",
    )
    etags = False

    def __init__(self, clock: SandboxClock, vaults: KeyVaults) -> None:
        self.quota = ProviderQuota(clock)
        self._clock = clock
        self._vaults = vaults

    def resource(self, vault: Vault) -> Resource:
        """Return a vault as a resource, to be kept by the store."""
        resource_id = ResourceId.parse(vault.resource_id)
        return Resource(resource_id, _body(resource_id, vault))

    def settle(self, resource: Resource) -> None:
        """See ``Provider.settle``: take over what the vault has become, and tell Resource Graph."""
        try:
            vault = self._vaults.vault(resource.id.name)
        except KeyError:  # it was deleted
            resource.gone = True
            return
        body = _body(resource.id, vault)
        if body != resource.body:
            resource.body = body
            resource.tell(self._clock.now())

    def shown(self, body: Body, api_version: str, *, listed: bool) -> Body:
        """See ``Provider.shown``: the same at all api-versions that are served."""
        del api_version, listed
        return body

    def create(
        self, resource_id: ResourceId, request: Body, api_version: str
    ) -> tuple[Written, Resource]:
        """See ``Provider.create``. Not served."""
        del resource_id, request, api_version
        raise method_not_allowed("PUT")

    def replace(self, resource: Resource, request: Body, api_version: str) -> Written:
        """See ``Provider.replace``. Not served."""
        del resource, request, api_version
        raise method_not_allowed("PUT")

    def patch(self, resource: Resource, request: Body) -> Written:
        """See ``Provider.patch``. Not served."""
        del resource, request
        raise method_not_allowed("PATCH")

    def delete(self, resource: Resource) -> Written:
        """See ``Provider.delete``. Not served."""
        del resource
        raise method_not_allowed("DELETE")


def _body(resource_id: ResourceId, vault: Vault) -> Body:
    """Return what a GET of a vault shows.

    Purge protection is shown only where it is on (recorded; the property takes no ``false``).
    """
    network = vault.network
    protected = {"enablePurgeProtection": True} if vault.purge_protection else {}
    rules = {"networkAcls": _rules(network)} if network.touched else {}
    return {
        "id": str(resource_id),
        "name": vault.name,
        "type": resource_id.type,
        "location": vault.location,
        "tags": {},
        "properties": {
            "sku": {"family": "A", "name": vault.sku},
            "tenantId": vault.tenant_id,
            **rules,
            "accessPolicies": [] if vault.rbac else vault.grants.policies(vault.tenant_id),
            "enabledForDeployment": False,
            "enabledForDiskEncryption": False,
            "enabledForTemplateDeployment": False,
            "enableSoftDelete": vault.soft_delete,
            "softDeleteRetentionInDays": vault.retention_days,
            "enableRbacAuthorization": vault.rbac,
            **protected,
            "vaultUri": f"{vault.uri}/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled" if network.public else "Disabled",
        },
    }


def _rules(network: Network) -> Body:
    return {
        "bypass": "AzureServices" if network.trusted_services else "None",
        "defaultAction": network.default,
        "ipRules": [{"value": each} for each in network.addresses],
        "virtualNetworkRules": [{"id": each} for each in network.subnets],
    }
