"""Azure AI services: Cognitive Services accounts, OpenAI among them."""

from shared.catalog.resource_manager import (
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
from shared.domain.shapes import SplitReference

_ENCRYPTION = "properties.encryption"
_KEY = f"{_ENCRYPTION}.keyVaultProperties"
_SOURCE = f"{_ENCRYPTION}.keySource"
_SHAPE = SplitReference(
    place="account",
    when=(_SOURCE, "Microsoft.KeyVault"),
    vault=f"{_KEY}.keyVaultUri",
    name=f"{_KEY}.keyName",
    version=f"{_KEY}.keyVersion",
)

_KEYS = (
    "https://learn.microsoft.com/azure/ai-services/encryption/"
    "cognitive-services-encryption-keys-portal"
)
_UPDATE = "https://learn.microsoft.com/rest/api/aiservices/accountmanagement/accounts/update"

COGNITIVE_ACCOUNT = Kind(
    id="cognitive_account",
    title="Cognitive Services or OpenAI account",
    resource_type="Microsoft.CognitiveServices/accounts",
    api_version="2026-07-01",
    shape=_SHAPE,
    write=Write(
        # Recorded with the platform's own key: PATCH of the whole encryption object, 202. That an
        # account's vault key is changed so is in the REST reference, and not recorded.
        verb="PATCH",
        send=(_ENCRYPTION,),
        never=(),
        guard=_SOURCE,
        completion=Completion.STATE,
    ),
    proof=AllOf((EchoesTarget(_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # Terraform takes a key without a version; Microsoft says nothing of it.
    versionless=None,
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.CognitiveServices/accounts/read",
        "Microsoft.CognitiveServices/accounts/write",
        GROUP_READ,
    ),
    advice={
        **refused("the account's identity", "the key must be of the account's own vault; "),
        **advice("accounts/read and accounts/write on the account"),
    },
    limits=("only a key of the same vault", PROTECTED_VAULT),
    sources=(
        _KEYS,
        _UPDATE,
        "azure-cli 2.77.0, recorded traffic: account with the platform's own key, updated",
        "bicep-types-az: microsoft.cognitiveservices 2026-07-01",
        "terraform-provider-azurerm: cognitive_account_customer_managed_key_resource.go",
    ),
)
