"""Key Vault's keys, as recorded from the real service, with real cryptography."""

from sandbox.key_vault.access import Permission
from sandbox.key_vault.errors import KeyVaultError
from sandbox.key_vault.keys import KeyVersion
from sandbox.key_vault.service import KeyUnusable, KeyVaults
from sandbox.key_vault.vault import NewKey, Vault

__all__ = [
    "KeyUnusable",
    "KeyVaultError",
    "KeyVaults",
    "KeyVersion",
    "NewKey",
    "Permission",
    "Vault",
]
