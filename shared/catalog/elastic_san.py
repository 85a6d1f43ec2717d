"""Volume groups of Elastic SANs, which use keys as storage accounts do."""

from datetime import timedelta

from shared.catalog.resource_manager import (
    ASSIGN_IDENTITY,
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    PROTECTED_VAULT,
    RSA,
    SIZES,
    advice,
    vault_access,
)
from shared.domain.kinds import Completion, Kind, Looks, Window, Write
from shared.domain.proofs import AllOf, FieldIs, Level, NamesTarget
from shared.domain.shapes import SplitReference

_SOURCE = "properties.encryption"
_PROPERTIES = "properties.encryptionProperties"
_KEY = f"{_PROPERTIES}.keyVaultProperties"
_CURRENT = f"{_KEY}.currentVersionedKeyIdentifier"

_KEYS = (
    "https://learn.microsoft.com/azure/storage/elastic-san/"
    "elastic-san-configure-customer-managed-keys"
)
_MANAGE = "https://learn.microsoft.com/azure/storage/elastic-san/elastic-san-encryption-manage-customer-keys"

ELASTIC_SAN_VOLUME_GROUP = Kind(
    id="elastic_san_volume_group",
    title="volume group of an Elastic SAN",
    resource_type="Microsoft.ElasticSan/elasticSans/volumeGroups",
    api_version="2025-09-01",
    shape=SplitReference(
        place="volume group",
        when=(_SOURCE, "EncryptionAtRestWithCustomerManagedKey"),
        vault=f"{_KEY}.keyVaultUri",
        name=f"{_KEY}.keyName",
        version=f"{_KEY}.keyVersion",
    ),
    write=Write(
        verb="PATCH",
        send=(_SOURCE, _PROPERTIES),
        never=(
            _CURRENT,
            f"{_KEY}.lastKeyRotationTimestamp",
            f"{_KEY}.currentVersionedKeyExpirationTimestamp",
        ),
        guard=_SOURCE,
        # Recorded: Location alone, 202 until the end, then the group.
        completion=Completion.STATE,
    ),
    # As for storage accounts: lastKeyRotationTimestamp proves nothing.
    proof=AllOf((NamesTarget(_CURRENT), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.REPORTED,
    in_use=_CURRENT,
    pinned=ASSUMED,
    # "checks the key vault daily"; the page asks to wait 24 hours before disabling the old one.
    versionless=Window(
        length=timedelta(days=1), looks=Looks(first=timedelta(minutes=5)), source=_MANAGE
    ),
    identities=("properties.encryptionProperties.identity.userAssignedIdentity",),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.ElasticSan/elasticSans/volumeGroups/read",
        "Microsoft.ElasticSan/elasticSans/volumeGroups/write",
        GROUP_READ,
        # For groups whose encryption uses a user-assigned identity: it is repeated in the body.
        ASSIGN_IDENTITY,
    ),
    advice={
        # Recorded, as the end of an operation that had been accepted.
        "VnetOrEncryptionUpdateOnVolumesFailed": (
            "the change did not reach every volume of the group: see which are not at rest, "
            + vault_access("the group's identity")
        ),
        **advice("volumeGroups/read and volumeGroups/write on the volume group"),
    },
    limits=(
        "the vault in the region of the Elastic SAN",
        PROTECTED_VAULT,
        # Microsoft's list of tables has the type in both; only the first is asked.
        "found only if Resource Graph's table resources has it, too, beside elasticsanresources",
    ),
    sources=(
        _KEYS,
        _MANAGE,
        "azure-rest-api-specs: VolumeGroups_Update_MaximumSet_Gen.json (2025-09-01)",
        "azure-cli-extensions, recorded traffic: volume group given a customer-managed key",
        "bicep-types-az: microsoft.elasticsan 2025-09-01",
    ),
)
