"""Azure SQL: the TDE protectors of servers and managed instances, and keys of single databases.

A protector names a server key, a resource of its own named after vault, key and version. So there
are two PUTs, in order: the server key of the new version, then the protector. The server key of the
old version stays: backups need it.
"""

from datetime import timedelta

from shared.catalog.resource_manager import (
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    PROTECTED_VAULT,
    RSA,
    advice,
    vault_access,
)
from shared.domain.kinds import NO_WRITE, ByHand, Completion, First, Kind, Looks, Window, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level, NamesTarget
from shared.domain.shapes import NamedReference, UrlReference

_OVERVIEW = (
    "https://learn.microsoft.com/azure/azure-sql/database/transparent-data-encryption-byok-overview"
)
_ROTATION = (
    "https://learn.microsoft.com/azure/azure-sql/database/"
    "transparent-data-encryption-byok-key-rotation"
)
_PROTECTORS = "https://learn.microsoft.com/rest/api/sql/encryption-protectors/create-or-update"
_BY_DATABASE = (
    "https://learn.microsoft.com/azure/azure-sql/database/"
    "transparent-data-encryption-byok-database-level-overview"
)

_TYPE = "properties.serverKeyType"
_NAME = "{vault}_{key}_{version}"
_SHAPE = NamedReference(
    place="TDE protector",
    when=(_TYPE, "AzureKeyVault"),
    url="properties.uri",
    name="properties.serverKeyName",
    made_of=_NAME,
    follows="properties.autoRotationEnabled",
)
_WRITE = Write(
    # Recorded: type, name of the server key and the flag.
    verb="PUT",
    send=("properties",),
    never=(
        "properties.uri",
        "properties.thumbprint",
        "properties.subregion",
        "properties.keyVersion",
    ),
    # ServiceManaged would give the databases back to the platform's key.
    guard=_TYPE,
    # Recorded: 202 with the operation; the protector itself shows no state.
    completion=Completion.OPERATION,
    first=First(
        title="server key",
        path=f"keys/{_NAME}",
        body=(("properties.serverKeyType", "AzureKeyVault"), ("properties.uri", "{target}")),
    ),
)
# The service sets ``uri``, of the server key that it uses; of a server key without a version it
# names none, and the version stands in ``keyVersion``, which managed instances do not have.
_IS_CUSTOMERS = FieldIs(_TYPE, "AzureKeyVault")
# "… the server's TDE protector is rotated within 60 minutes" of the new version.
_FOLLOWS = Window(
    length=timedelta(hours=1), looks=Looks(first=timedelta(minutes=5)), source=_ROTATION
)
_SIZES = frozenset({2048, 3072})

_ACCESS = vault_access("the server's identity")
# docs: the errors of the REST reference. A 401 here is the vault's, not that of Keyturn's token.
_ERRORS = {
    "AzureKeyVaultMissingPermissions": _ACCESS,
    "AzureKeyVaultNoServerIdentity": "give the server an identity; " + _ACCESS,
    "AdalServicePrincipalNotFound": "give the server an identity that exists; " + _ACCESS,
    "AzureKeyVaultKeyDisabled": "enable the version on the vault, then rotate again",
    "AzureKeyVaultInvalidExpirationDate": "put off the version's expiry date, then rotate again",
    "AzureKeyVaultRsaKeyNotSupported": "rotate to an RSA key of 2048 or 3072 bits",
    "SecurityInvalidAzureKeyVaultRecoveryLevel": "turn on soft-delete and purge protection",
    "KeyMaterialNotFoundOnRemoteServer": (
        "add the version to the keys of every server of the failover group first"
        " (az sql server key create --kid), then rotate again"
    ),
}
_LIMITS = (
    "an RSA key of 2048 or 3072 bits that is active, and does not expire before it is replaced",
    "in a failover group the other servers get the server key first; the old ones stay for backups",
    PROTECTED_VAULT,
)
_SOURCES = (
    _OVERVIEW,
    _ROTATION,
    _PROTECTORS,
    "azure-cli 2.77.0, recorded traffic: server key, then protector (PUT 202 each)",
    "azure-service-operator, recorded traffic: the same at 2025-01-01",
    "bicep-types-az: microsoft.sql 2025-01-01",
)
_IF_STUCK = (
    "keep the old version enabled; have the server look at the vault again (POST"
    " …/encryptionProtector/current/revalidate); check that the server's identity may get, wrap and"
    " unwrap; then rotate again"
)

SQL_SERVER_PROTECTOR = Kind(
    id="sql_server_tde",
    title="SQL server's TDE protector",
    resource_type="Microsoft.Sql/servers/encryptionProtector",
    api_version="2025-01-01",
    shape=_SHAPE,
    write=_WRITE,
    proof=AllOf((NamesTarget("properties.uri", bare="properties.keyVersion"), _IS_CUSTOMERS)),
    level=Level.REPORTED,
    in_use="properties.uri",
    in_use_bare="properties.keyVersion",
    pinned=ASSUMED,
    versionless=_FOLLOWS,
    key_types=RSA,
    key_bits=_SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.Sql/servers/encryptionProtector/read",
        "Microsoft.Sql/servers/encryptionProtector/write",
        "Microsoft.Sql/servers/keys/read",
        "Microsoft.Sql/servers/keys/write",
        GROUP_READ,
    ),
    advice={
        **_ERRORS,
        **advice("servers/encryptionProtector and servers/keys, read and write, on the SQL server"),
    },
    listed_under="Microsoft.Sql/servers",
    limits=_LIMITS,
    sources=(
        *_SOURCES,
        "terraform-provider-azurerm: mssql_server_transparent_data_encryption_resource.go",
    ),
    if_stuck=_IF_STUCK,
)

SQL_INSTANCE_PROTECTOR = Kind(
    id="sql_mi_tde",
    title="SQL managed instance's TDE protector",
    resource_type="Microsoft.Sql/managedInstances/encryptionProtector",
    api_version="2025-01-01",
    shape=_SHAPE,
    # Recorded for servers; Microsoft's reference of both has the same requests.
    write=Write(
        verb=_WRITE.verb,
        send=_WRITE.send,
        never=("properties.uri", "properties.thumbprint"),
        guard=_WRITE.guard,
        completion=_WRITE.completion,
        first=_WRITE.first,
    ),
    proof=AllOf((NamesTarget("properties.uri"), _IS_CUSTOMERS)),
    level=Level.REPORTED,
    in_use="properties.uri",
    pinned=ASSUMED,
    versionless=_FOLLOWS,
    key_types=RSA,
    key_bits=_SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.Sql/managedInstances/encryptionProtector/read",
        "Microsoft.Sql/managedInstances/encryptionProtector/write",
        "Microsoft.Sql/managedInstances/keys/read",
        "Microsoft.Sql/managedInstances/keys/write",
        GROUP_READ,
    ),
    advice={
        **_ERRORS,
        "ManagedInstanceStoppingOrStopped": "start the instance, then rotate again",
        **advice(
            "managedInstances/encryptionProtector and …/keys, read and write, on the instance"
        ),
    },
    listed_under="Microsoft.Sql/managedInstances",
    limits=_LIMITS,
    sources=(
        *_SOURCES,
        "terraform-provider-azurerm: mssql_managed_instance_transparent_data_encryption_….go",
    ),
    if_stuck=_IF_STUCK,
)

_DATABASE_SHAPE = UrlReference(
    place="database",
    when=None,
    url="properties.encryptionProtector",
    follows="properties.encryptionProtectorAutoRotation",
)

SQL_DATABASE = Kind(
    id="sql_database",
    title="SQL database with a key of its own",
    resource_type="Microsoft.Sql/servers/databases",
    api_version="2025-01-01",
    shape=_DATABASE_SHAPE,
    write=NO_WRITE,
    # A serverless database pauses by itself, and keeps its key.
    proof=AllOf(
        (EchoesTarget(_DATABASE_SHAPE), FieldIs("properties.status", "Online", ("Paused",)))
    ),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    versionless=_FOLLOWS,
    key_types=RSA,
    key_bits=_SIZES,
    budget=NO_BUDGET,
    actions=("Microsoft.Sql/servers/databases/read",),
    advice={**_ERRORS, **advice("servers/databases/read on the SQL server")},
    listed_under="Microsoft.Sql/servers",
    by_hand=ByHand(
        why=(
            "its key is recorded, and in Microsoft's examples, only where a database is made; what"
            " a change of it does to the list of keys that its backups need is not"
        ),
        steps=(
            "az sql db update --ids {resource} --encryption-protector {target}\n"
            "# Keep the old version enabled, and in the database's list of keys, for as long as"
            " backups that were made with it are kept.\n"
            "az sql db show --ids {resource} --expand-keys"
        ),
    ),
    limits=("a user-assigned identity of the database's own uses the key", *_LIMITS),
    sources=(
        _BY_DATABASE,
        _ROTATION,
        "azure-cli 2.77.0, recorded traffic: database created and copied with a key (PUT 202)",
        "azure-rest-api-specs: CreateDatabaseWithEncryptionProtectorAutoRotation.json (2025-01-01)",
        "bicep-types-az: microsoft.sql 2025-01-01",
    ),
)
