"""How the storage service finds a key, for accounts and their encryption scopes, and refuses one.

It checks the key with the vault before it accepts a write, under the account's identity.
"""

from datetime import datetime

from sandbox.arm.errors import ArmError
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import find_version
from sandbox.arm.resources import Body
from sandbox.key_vault import KeyVaults, KeyVersion


def usable_version(
    vaults: KeyVaults, vault: str, key: str, version: str, when: datetime
) -> KeyVersion:
    """Return the version that a reference means at ``when``; see ``find_version``.

    Raises:
        ArmError: 400: there is none, or its vault does not protect it from being purged.
    """
    found = find_version(vaults, vault, key, version, when)
    if found is None:
        raise authentication_failure()
    if "Purgeable" in found.recovery_level:
        raise _not_recoverable()
    return found


def account_principal(identities: Identities, account: Body) -> str:
    """Return the object id under which an account uses its keys, those of its scopes too.

    Raises:
        ArmError: 400: it has no such identity.
    """
    chosen = account["properties"]["encryption"].get("identity", {})
    wanted = str(chosen.get("userAssignedIdentity", ""))
    principal = identities.principal(account.get("identity"), wanted)
    if principal is None:
        raise _no_identity()
    return principal


def authentication_failure() -> ArmError:
    """Refuse a key that the account's identity cannot use (text: azure-docs#84096).

    Reported for missing rights and for an expired key; inference for a key, version or vault
    that does not exist and for a disabled version.
    """
    message = "The operation failed because of authentication issue on the keyvault."
    return ArmError(400, "KeyVaultAuthenticationFailure", message)


def missing_key_properties() -> ArmError:
    """Refuse a write that names no key (text: terraform-provider-azurerm#658)."""
    message = "The encryption keyvault properties are missing from the request."
    return ArmError(400, "MissingKeyvaultProperties", message)


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
