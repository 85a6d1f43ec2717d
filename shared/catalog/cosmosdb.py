"""Cosmos DB accounts.

Versionless by nature: ``keyVaultKeyUri`` names a key, and the service follows the vault once it
has seen that the account is neither revoked nor about to get its first key.
"""

from datetime import timedelta

from shared.catalog.resource_manager import GROUP_READ, PROTECTED_VAULT, advice
from shared.domain.kinds import Completion, Kind, Looks, Symptom, Window, Write
from shared.domain.pacing import Budget
from shared.domain.proofs import AllOf, FieldIs, Level, NamesTarget, NoComplaint
from shared.domain.shapes import UrlReference

_URI = "properties.keyVaultKeyUri"
_IN_USE = "properties.keyVaultKeyUriVersion"
_STATUS = "properties.customerManagedKeyStatus"

_HOW_TO = "https://learn.microsoft.com/azure/cosmos-db/how-to-setup-customer-managed-keys"
_GUIDE = "https://learn.microsoft.com/azure/cosmos-db/cmk-troubleshooting-guide"

# The page asks to wait "upwards to one hour", and to call support after two.
_THEN = (
    "; then wait up to an hour until the account is no longer revoked (after two hours ask"
    " Microsoft's support), and only then rotate again: a revoked account takes up no version"
)
_RIGHTS = "get, wrapKey and unwrapKey on the vault (role Key Vault Crypto Service Encryption User)"

# Each text begins "Access to your account is currently revoked because"; the numbers are the
# substatus codes at its end. The last one fits all of them, also texts that are yet to come.
_REVOKED = (
    # "Azure key Disabled or expired" in the guide; the text is quoted by users with 4018.
    (
        "disabled or expired",
        "enable the version that the account used last, or put its expiry date off, first: not"
        " the new version" + _THEN,
    ),
    # 4002
    (
        "no longer has permission to the associated key vault key",
        "first see that the version that the account used last is enabled and not expired: enable"
        " it or put its expiry date off; then give the account's default identity "
        + _RIGHTS
        + _THEN,
    ),
    # 4000
    (
        "unable to obtain the aad authentication token",
        "see that the account's default identity still exists; if it does not, make another one,"
        f" give it {_RIGHTS} and set it as the default identity" + _THEN,
    ),
    # 4015
    (
        "undefined default identity",
        "set the account's default identity to one that exists (FirstPartyIdentity,"
        f" SystemAssignedIdentity or UserAssignedIdentity=…) and give it {_RIGHTS}" + _THEN,
    ),
    # 4016
    (
        "access rules are blocking outbound requests to the azure key vault service",
        "open the vault's firewall to Cosmos DB: allow trusted Microsoft services, or public"
        " access; a vault that has private endpoints only cannot be used" + _THEN,
    ),
    # 4017
    (
        "azure key vault was not found",
        "restore the deleted vault, with its rights and its firewall as they were" + _THEN,
    ),
    # 4003
    (
        "key is not found on the specified key vault",
        "restore the deleted key, with the version that the account used last enabled" + _THEN,
    ),
    # 4005
    (
        "unable to wrap or unwrap the key",
        "restore the key or the vault if it was deleted, and see that the version that the account"
        " used last is enabled and allows wrapKey and unwrapKey" + _THEN,
    ),
    # 4006
    (
        "key vault key uri does not follow the expected format",
        "set the account's keyVaultKeyUri to https://VAULT.vault.azure.net/keys/NAME, without a"
        " version" + _THEN,
    ),
    # 4009
    (
        "dns name specified by the account's keyvaultkeyuri property could not be resolved",
        "restore the vault if it was deleted; if it is there, wait up to two hours" + _THEN,
    ),
    (
        "currently revoked",
        "see the troubleshooting guide that the text names; mostly the version that the account"
        " used last must be enabled or its expiry date put off first" + _THEN,
    ),
)

COSMOSDB_ACCOUNT = Kind(
    id="cosmosdb_account",
    title="Cosmos DB account",
    resource_type="Microsoft.DocumentDB/databaseAccounts",
    # The lowest stable version that has keyVaultKeyUriVersion.
    api_version="2025-10-15",
    shape=UrlReference(place="account", when=None, url=_URI),
    # Only for an account whose URI carries a version. That such a URI is taken is an inference:
    # Microsoft documents it without one, and a PATCH of nothing but it; no traffic is recorded.
    # Null is refused (400), so that nothing switches the key off here.
    write=Write(verb="PATCH", send=(_URI,), never=(), guard="", completion=Completion.STATE),
    # No example shows keyVaultKeyUriVersion: whether it is a URL or a bare version, it is compared
    # whole, and vault and name through the URI.
    proof=AllOf(
        (
            NamesTarget(_IN_USE, key=_URI),
            FieldIs("properties.provisioningState", "Succeeded"),
            NoComplaint(_STATUS, well="Access to the configured customer managed key confirmed."),
        )
    ),
    level=Level.REPORTED,
    in_use=_IN_USE,
    in_use_key=_URI,
    # "No more activity should take place on the previous … version after 24 hours of key rotation."
    pinned=Window(
        length=timedelta(days=1), looks=Looks(first=timedelta(minutes=1)), source=_HOW_TO
    ),
    versionless=Window(
        length=timedelta(days=1), looks=Looks(first=timedelta(minutes=5)), source=_HOW_TO
    ),
    key_types=frozenset({"RSA", "RSA-HSM"}),
    key_bits=frozenset({2048, 3072, 4096}),
    # The guide: an account whose key has expired is revoked, and takes up no version before the
    # one that it used last is valid again.
    refuses_while_expired=True,
    # Of its own, the provider documents none for accounts.
    budget=Budget(reads=(), writes=()),
    actions=(
        "Microsoft.DocumentDB/databaseAccounts/read",
        "Microsoft.DocumentDB/databaseAccounts/write",
        GROUP_READ,
    ),
    advice={
        # The guide's 400s have no code of their own; their texts tell them apart.
        "BadRequest": (
            "see the message: in revoked state the version that the account used last must be"
            " enabled or its expiry date put off first; another tenant's vault cannot be used; a"
            " keyVaultKeyUri that is invalid must be https://VAULT.vault.azure.net/keys/NAME"
        ),
        # "Client address is not authorized …": ForbiddenByFirewall of the vault.
        "Forbidden": (
            "open the vault's firewall to Cosmos DB (trusted Microsoft services), and give the"
            f" account's default identity {_RIGHTS}"
        ),
        # "Error contacting the Azure Key Vault resource", as the end of a write that was accepted:
        # it stays until the vault is mended. As an answer, a 503 is tried again like any other.
        "ServiceUnavailable": (
            "check that the vault and the key in the account's keyVaultKeyUri exist, then rotate"
            " again"
        ),
        **advice("databaseAccounts/read and databaseAccounts/write on the account"),
    },
    limits=(
        "the old version stays enabled for restores of periodic backups",
        "a vault that can be reached publicly, or by trusted services",
        "encryption with one's own key is never undone",
        PROTECTED_VAULT,
    ),
    sources=(
        _HOW_TO,
        _GUIDE,
        "azure-rest-api-specs: cosmos-db 2023-09-15, the texts of customerManagedKeyStatus",
        "bicep-types-az: microsoft.documentdb 2025-10-15",
        "azure-cli, recorded traffic: Cosmos DB account with a key URI",
        "terraform-provider-azurerm: cosmosdb_account_resource.go",
    ),
    symptoms=tuple(
        Symptom(path=_STATUS, says=says, advice=what_to_do) for says, what_to_do in _REVOKED
    ),
)
