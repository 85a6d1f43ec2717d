"""PostgreSQL and MySQL flexible servers: a key for the data, and one for geo-redundant backups.

The second lies in the paired region, mostly in another vault: each is moved with its own key.
"""

from shared.catalog.resource_manager import (
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    PROTECTED_VAULT,
    RSA,
    SIZES,
    advice,
    vault_access,
)
from shared.domain.kinds import Completion, Kind, Symptom, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level, NoComplaint
from shared.domain.shapes import References, UrlReference

_KEYS = "properties.dataEncryption"
_TYPE = f"{_KEYS}.type"
_WHEN = (_TYPE, "AzureKeyVault")
_SHAPE = References(
    parts=(
        UrlReference(place="data", when=_WHEN, url=f"{_KEYS}.primaryKeyURI"),
        UrlReference(place="geo-redundant backup", when=_WHEN, url=f"{_KEYS}.geoBackupKeyURI"),
    )
)
_STATUS, _GEO_STATUS = (
    f"{_KEYS}.primaryEncryptionKeyStatus",
    f"{_KEYS}.geoBackupEncryptionKeyStatus",
)

_POSTGRES = "https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-data-encryption"
_MYSQL = "https://learn.microsoft.com/azure/mysql/flexible-server/concepts-customer-managed-key"

_ACCESS = vault_access("the user-assigned identity that the server names beside the key")
_ERRORS = {
    # [I] terraform#20846, as the end of an operation that had been accepted.
    "AzureKeyVaultKeyNotFound": "see that the version is there and enabled; " + _ACCESS,
}
_RECOVER = (
    "the server refuses a new version while it cannot use the old one: enable the old version, or"
    " put off its expiry date, wait until the server is Ready (up to an hour), then rotate again; "
)
_INACCESSIBLE = Symptom(path="properties.state", says="Inaccessible", advice=_RECOVER + _ACCESS)
_LIMITS = (
    "a user-assigned identity only; vault and server in one tenant",
    "the key for the data in the server's region",
    PROTECTED_VAULT,
)

POSTGRESQL_SERVER = Kind(
    id="postgres_flexible",
    title="PostgreSQL flexible server",
    resource_type="Microsoft.DBforPostgreSQL/flexibleServers",
    # The version of Microsoft's example of the update.
    api_version="2025-08-01",
    shape=_SHAPE,
    write=Write(
        verb="PATCH",
        # Recorded and in the example beside a change of identity; that is left as it is here.
        send=(_KEYS,),
        never=(_STATUS, _GEO_STATUS),
        guard=_TYPE,
        # Recorded: 202 with the operation; the server's own ``state`` tells of no failure.
        completion=Completion.OPERATION,
    ),
    proof=AllOf(
        (
            EchoesTarget(_SHAPE),
            FieldIs("properties.state", "Ready"),
            # Recorded: Unknown for a moment, then Valid.
            FieldIs(_STATUS, "Valid"),
            NoComplaint(_GEO_STATUS, "Valid"),
        )
    ),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # Terraform takes a key without a version; what Microsoft says of it is a preview's text.
    versionless=None,
    identities=(
        "properties.dataEncryption.primaryUserAssignedIdentityId",
        "properties.dataEncryption.geoBackupUserAssignedIdentityId",
    ),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.DBforPostgreSQL/flexibleServers/read",
        "Microsoft.DBforPostgreSQL/flexibleServers/write",
        GROUP_READ,
    ),
    advice={
        **_ERRORS,
        # [I] terraform#25138.
        "CMKNotSupportedForGeoRedundantBackupEnabledServer": (
            "give the server a key for its geo-redundant backup too, in the paired region"
        ),
        **advice("flexibleServers/read and flexibleServers/write on the PostgreSQL server"),
    },
    symptoms=(
        _INACCESSIBLE,
        Symptom(path=_STATUS, says="Invalid", advice=_RECOVER + _ACCESS),
        Symptom(path=_GEO_STATUS, says="Invalid", advice=_RECOVER + _ACCESS),
    ),
    limits=("encryption with one's own key is chosen when a server is made", *_LIMITS),
    sources=(
        _POSTGRES,
        "azure-cli 2.77.0, recorded traffic: server moved to another key and identity (PATCH 202)",
        "azure-rest-api-specs: ServersUpdateWithDataEncryptionEnabled.json (2025-08-01)",
        "bicep-types-az: microsoft.dbforpostgresql 2025-08-01",
        "terraform-provider-azurerm: postgresql_flexible_server_resource.go",
    ),
)

MYSQL_SERVER = Kind(
    id="mysql_flexible",
    title="MySQL flexible server",
    resource_type="Microsoft.DBforMySQL/flexibleServers",
    # Next to that of the recorded traffic, a preview.
    api_version="2024-12-30",
    shape=_SHAPE,
    write=Write(
        verb="PATCH",
        # Recorded: dataEncryption as a whole, beside the identity when that is first attached.
        send=(_KEYS,),
        never=(),
        guard=_TYPE,
        # Recorded: 202 with the operation.
        completion=Completion.OPERATION,
    ),
    proof=AllOf((EchoesTarget(_SHAPE), FieldIs("properties.state", "Ready"))),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # Terraform takes a key without a version; Microsoft says nothing of it, and there is no flag.
    versionless=None,
    identities=(
        "properties.dataEncryption.primaryUserAssignedIdentityId",
        "properties.dataEncryption.geoBackupUserAssignedIdentityId",
    ),
    key_types=RSA,
    key_bits=SIZES,
    # "The expiration date not set": a rotation policy with an expiry makes versions of no use.
    takes_expiry=False,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.DBforMySQL/flexibleServers/read",
        "Microsoft.DBforMySQL/flexibleServers/write",
        GROUP_READ,
    ),
    advice={
        **_ERRORS,
        **advice("flexibleServers/read and flexibleServers/write on the MySQL server"),
    },
    symptoms=(_INACCESSIBLE,),
    limits=(
        "a version without an expiry date: the key's rotation policy must set none",
        "soft-delete for 90 days; replicas need the identity and the key too",
        *_LIMITS,
    ),
    sources=(
        _MYSQL,
        "azure-cli 2.77.0, recorded traffic: a key given to a server (PATCH 202)",
        "bicep-types-az: microsoft.dbformysql 2024-12-30",
        "terraform-provider-azurerm: mysql_flexible_server_resource.go",
    ),
)
