"""Azure Managed Redis and Redis Enterprise: the disks of a cluster, by one version of a key."""

from shared.catalog.resource_manager import (
    ASSIGN_IDENTITY,
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    RSA,
    SIZES,
    advice,
    refused,
)
from shared.domain.kinds import Completion, Kind, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level
from shared.domain.shapes import UrlReference

_KEY = "properties.encryption.customerManagedKeyEncryption"
_SHAPE = UrlReference(place="cluster", when=None, url=f"{_KEY}.keyEncryptionKeyUrl")

_KEYS = "https://learn.microsoft.com/azure/redis/how-to-encryption"
_UPDATE = (
    "https://learn.microsoft.com/powershell/module/az.redisenterprisecache/"
    "update-azredisenterprisecache"
)

REDIS_ENTERPRISE = Kind(
    id="redis_enterprise",
    title="Managed Redis or Redis Enterprise cluster",
    resource_type="Microsoft.Cache/redisEnterprise",
    api_version="2025-07-01",
    shape=_SHAPE,
    write=Write(
        # Documented (Update-AzRedisEnterpriseCache -CustomerManagedKeyEncryptionKeyUrl), not
        # recorded. The identity is repeated; an empty object would switch the key off.
        verb="PATCH",
        send=(_KEY,),
        never=(),
        guard=f"{_KEY}.keyEncryptionKeyIdentity.identityType",
        completion=Completion.STATE,
    ),
    proof=AllOf(
        (
            EchoesTarget(_SHAPE),
            FieldIs("properties.provisioningState", "Succeeded"),
            FieldIs("properties.resourceState", "Running"),
        )
    ),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # "Key encryption key Url, versioned only."
    versionless=None,
    identities=(
        "properties.encryption.customerManagedKeyEncryption.keyEncryptionKeyIdentity.userAssignedIdentityResourceId",
    ),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.Cache/redisEnterprise/read",
        "Microsoft.Cache/redisEnterprise/write",
        GROUP_READ,
        # The user-assigned identity, which is the only one that can be used, is repeated.
        ASSIGN_IDENTITY,
    ),
    advice={
        **refused("the cluster's user-assigned identity"),
        **advice("redisEnterprise/read and redisEnterprise/write on the cluster"),
    },
    limits=(
        "a user-assigned identity; the vault in the cluster's region",
        "whether a new version is a long maintenance, as a first key is, is documented nowhere",
    ),
    sources=(
        _KEYS,
        _UPDATE,
        "azure-rest-api-specs: RedisEnterpriseUpdate.json (2023-11-01), the envelope alone",
        "bicep-types-az: microsoft.cache 2025-07-01",
        "terraform-provider-azurerm: managed_redis_resource.go (a key with its version)",
    ),
)
