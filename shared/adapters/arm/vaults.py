"""The vaults behind ``shared.ports.VaultRegistry``: Resource Graph finds them, ARM shows them."""

import re
from dataclasses import dataclass

from shared.adapters.arm.client import ArmClient
from shared.domain.errors import NotAllowedError, NotFoundError, UnreadableError
from shared.domain.json_paths import every, text_at
from shared.domain.resources import ResourceId
from shared.domain.vault_settings import VaultSettings, is_at

_GRAPH = "/providers/Microsoft.ResourceGraph/resources"
_GRAPH_VERSION = "2021-03-01"
_VAULTS_VERSION = "2023-07-01"
_HOST = re.compile(r"[a-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class ArmVaults:
    """Reads how vaults are set up, one query and one GET a vault."""

    client: ArmClient

    def settings(self, vault: str) -> VaultSettings:
        """See ``VaultRegistry.settings``. The inventory lags: what it finds is read afresh."""
        found, tenant = self._find(vault)
        answer = self.client.send(
            "GET", found, doing=f"read {found}", query={"api-version": _VAULTS_VERSION}
        )
        if not is_at(answer.body, vault):
            raise UnreadableError(f"{found} is not the vault at {vault}")
        return VaultSettings.parse(answer.body, home_tenant=tenant)

    def id_of(self, vault: str) -> str:
        """Return the resource id of the vault at a host. Raises as ``settings``."""
        return self._find(vault)[0]

    def _find(self, vault: str) -> tuple[str, str]:
        """Return the resource id of the vault at a host, and its subscription's tenant.

        The query names no subscriptions: Resource Graph looks in all that we may read.
        """
        answer = self.client.send(
            "POST",
            _GRAPH,
            doing=f"find the vault {vault}",
            query={"api-version": _GRAPH_VERSION},
            body={"query": query(vault), "options": {"resultFormat": "objectArray"}},
        )
        for row in every(answer.body, "data.*"):
            if is_at(row, vault):
                return ResourceId.parse(text_at(row, "id")).text, text_at(row, "tenantId")
        raise NotFoundError(
            f"in all that we may read, Resource Graph shows no vault at {vault}"
            f" (to see it takes Microsoft.KeyVault/{_type_at(vault)}/read)"
        )


def query(vault: str) -> str:
    """Return the query for a vault, given by its host.

    Raises:
        NotAllowedError: ``vault`` is no host, and would change the query.
    """
    if not _HOST.fullmatch(vault):
        raise NotAllowedError(f"not the host of a vault: {vault!r}")
    uri = "hsmUri" if _type_at(vault) == "managedHSMs" else "vaultUri"
    return (
        f"resources | where type =~ 'microsoft.keyvault/{_type_at(vault).lower()}'"
        f" | where tostring(properties.{uri}) contains '{vault}'"
        " | project id, tenantId, properties"
    )


def _type_at(host: str) -> str:
    return "managedHSMs" if ".managedhsm." in host else "vaults"
