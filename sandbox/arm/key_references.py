"""What a reference to a key means: the version that a vault gives for it at a moment."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from sandbox.key_vault import KeyVaultError, KeyVaults, KeyVersion

_SUFFIX = ".vault.azure.net"
_HSM_SUFFIX = ".managedhsm.azure.net"


def vault_name(url: str) -> str | None:
    """Return the vault's name from a URL in it; ``None`` if the URL is not a vault's.

    For a managed HSM it is the whole host: an HSM may bear the name of a vault.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.scheme != "https":
        return None
    if host.endswith(_HSM_SUFFIX):
        return host
    return host.removesuffix(_SUFFIX) if host.endswith(_SUFFIX) else None


def key_name(url: str) -> str:
    """Return the key's name from its URL, with or without a version."""
    return urlsplit(url).path.split("/")[2]


def versions_of(vaults: KeyVaults, vault: str, key: str) -> list[KeyVersion]:
    """Return a key's versions, oldest first; none if there is no such vault or key."""
    try:
        return vaults.vault(vault).versions(key)
    except (KeyError, KeyVaultError):
        return []


def find_version(
    vaults: KeyVaults, vault: str, key: str, version: str, when: datetime
) -> KeyVersion | None:
    """Return the version that a reference means at ``when``, if there is such a version.

    Args:
        vaults: Where to look.
        vault: Name of the vault.
        key: Name of the key.
        version: The version that is named; empty for the one that is current at ``when``.
        when: Where a service is seen late to have looked earlier, versions made in between do
            not count.
    """
    versions = versions_of(vaults, vault, key)
    if version:
        return next((each for each in versions if each.version == version), None)
    made = [each for each in versions if datetime.fromtimestamp(each.created, UTC) <= when]
    return made[-1] if made else None
