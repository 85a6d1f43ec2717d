"""Key Vault's keys, as recorded from the real service, with real cryptography."""

from sandbox.key_vault.access import Permission
from sandbox.key_vault.errors import KeyVaultError
from sandbox.key_vault.keys import KeyVersion, NewKey
from sandbox.key_vault.network import Network
from sandbox.key_vault.service import SUBSCRIPTION, KeyUnusable, KeyVaults
from sandbox.key_vault.vault import VAULT_DOMAIN, Vault

__all__ = [
    "SUBSCRIPTION",
    "VAULT_DOMAIN",
    "KeyUnusable",
    "KeyVaultError",
    "KeyVaults",
    "KeyVersion",
    "Network",
    "NewKey",
    "Permission",
    "Vault",
]
