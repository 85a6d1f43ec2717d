"""What runs jobs: Automation accounts and Batch accounts. Neither follows the vault by itself."""

from shared.catalog.resource_manager import (
    ASSIGN_IDENTITY,
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    PROTECTED_VAULT,
    RSA,
    SIZES,
    advice,
    refused,
)
from shared.domain.kinds import Completion, Kind, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level
from shared.domain.shapes import SplitReference, UrlReference

_ENCRYPTION = "properties.encryption"
_KEY = f"{_ENCRYPTION}.keyVaultProperties"
_SOURCE = f"{_ENCRYPTION}.keySource"

_AUTOMATION_SHAPE = SplitReference(
    place="account",
    when=(_SOURCE, "Microsoft.Keyvault"),
    vault=f"{_KEY}.keyvaultUri",
    name=f"{_KEY}.keyName",
    version=f"{_KEY}.keyVersion",
)
# Not keyVaultReference: that is the vault of user-subscription mode, and no encryption key.
_BATCH_SHAPE = UrlReference(
    place="account", when=(_SOURCE, "Microsoft.KeyVault"), url=f"{_KEY}.keyIdentifier"
)

_AUTOMATION_KEYS = "https://learn.microsoft.com/azure/automation/automation-secure-asset-encryption"
_BATCH_KEYS = "https://learn.microsoft.com/azure/batch/batch-customer-managed-key"

AUTOMATION_ACCOUNT = Kind(
    id="automation_account",
    title="Automation account",
    resource_type="Microsoft.Automation/automationAccounts",
    api_version="2024-10-23",
    shape=_AUTOMATION_SHAPE,
    write=Write(
        # docs: the page's own sample is a PATCH of the whole encryption object.
        verb="PATCH",
        send=(_ENCRYPTION,),
        never=(),
        guard=_SOURCE,
        completion=Completion.SYNC,
    ),
    # An account has no provisioningState.
    proof=AllOf((EchoesTarget(_AUTOMATION_SHAPE), FieldIs("properties.state", "Ok"))),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # "must update … after rotation": by hand.
    versionless=None,
    identities=("properties.encryption.identity.userAssignedIdentity",),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.Automation/automationAccounts/read",
        "Microsoft.Automation/automationAccounts/write",
        GROUP_READ,
        # For accounts whose encryption uses a user-assigned identity: it is repeated in the body.
        ASSIGN_IDENTITY,
    ),
    advice={
        **refused("the account's identity"),
        **advice("automationAccounts/read and automationAccounts/write on the account"),
    },
    limits=("the vault in the account's tenant", PROTECTED_VAULT),
    sources=(
        _AUTOMATION_KEYS,
        "azure-rest-api-specs: updateAutomationAccount.json (2021-06-22)",
        "bicep-types-az: microsoft.automation 2024-10-23",
    ),
)

BATCH_ACCOUNT = Kind(
    id="batch_account",
    title="Batch account",
    resource_type="Microsoft.Batch/batchAccounts",
    api_version="2025-06-01",
    shape=_BATCH_SHAPE,
    write=Write(
        # docs: az batch account set --encryption-key-identifier; PATCH in the REST reference.
        verb="PATCH",
        send=(_ENCRYPTION,),
        never=(),
        guard=_SOURCE,
        completion=Completion.SYNC,
    ),
    proof=AllOf((EchoesTarget(_BATCH_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # The types take a key "with or without version"; the page says that keys are "not
    # automatically rotated".
    versionless=None,
    key_types=RSA,
    # The page: "2048 bits"; the types say nothing of sizes.
    key_bits=frozenset({2048}),
    budget=NO_BUDGET,
    actions=(
        "Microsoft.Batch/batchAccounts/read",
        "Microsoft.Batch/batchAccounts/write",
        GROUP_READ,
    ),
    advice={
        **refused("the account's identity"),
        **advice("batchAccounts/read and batchAccounts/write on the account"),
    },
    limits=(
        "the key is chosen when the account is made",
        "the disks of pools are encrypted apart, through a disk encryption set of their own",
        PROTECTED_VAULT,
    ),
    sources=(_BATCH_KEYS, "bicep-types-az: microsoft.batch 2025-06-01"),
)
