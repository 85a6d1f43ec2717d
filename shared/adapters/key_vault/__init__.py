"""Key Vault's keys, over ``azure-keyvault-keys``."""
