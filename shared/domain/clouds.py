"""The Azure clouds: the hosts that may be given a token.

Source of the endpoints: azure-cli-core ``cloud.py`` and the Azure SDK's ``AzureAuthorityHosts``.
"""

from dataclasses import dataclass

from shared.domain.errors import NotAllowedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One cloud's endpoints.

    Attributes:
        name: As ``az cloud list`` names it.
        arm: Host of Azure Resource Manager.
        storage: What follows ``ACCOUNT.queue.`` in the host of a storage account.
        vault_suffixes: What follows the name in the host of a vault, then of a managed HSM.
    """

    name: str
    arm: str
    storage: str
    vault_suffixes: tuple[str, str]

    def vault_host(self, vault: str) -> str:
        """Return the host of a vault given by its name (``kv1``) or by its host.

        Raises:
            NotAllowedError: It is a host, but not of a vault or managed HSM of this cloud.
        """
        host = vault.lower()
        if "." not in host:
            host = f"{host}.{self.vault_suffixes[0]}"
        name, _, suffix = host.partition(".")
        # In lower case the Kelvin sign is a k.
        is_ascii, is_ours = vault.isascii(), suffix in self.vault_suffixes
        if not (is_ascii and is_ours and _is_vault_name(name)):
            allowed = " or ".join(f"NAME.{suffix}" for suffix in self.vault_suffixes)
            raise NotAllowedError(f"{vault!r} is no vault of {self.name}: expected {allowed}")
        return host


def _is_vault_name(name: str) -> bool:
    # 3-24 letters, digits and single hyphens (docs: Key Vault object identifiers).
    return 3 <= len(name) <= 24 and name.replace("-", "").isalnum()  # noqa: PLR2004 - said above


AZURE_PUBLIC = Cloud(
    name="AzureCloud",
    arm="management.azure.com",
    storage="core.windows.net",
    vault_suffixes=("vault.azure.net", "managedhsm.azure.net"),
)

CLOUDS = {
    cloud.name: cloud
    for cloud in (
        AZURE_PUBLIC,
        Cloud(
            name="AzureUSGovernment",
            arm="management.usgovcloudapi.net",
            storage="core.usgovcloudapi.net",
            vault_suffixes=("vault.usgovcloudapi.net", "managedhsm.usgovcloudapi.net"),
        ),
        Cloud(
            name="AzureChinaCloud",
            arm="management.chinacloudapi.cn",
            storage="core.chinacloudapi.cn",
            vault_suffixes=("vault.azure.cn", "managedhsm.azure.cn"),
        ),
    )
}
