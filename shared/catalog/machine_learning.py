"""Azure Machine Learning workspaces.

The key may only be changed for another one of the same vault. The Cosmos DB account, the storage
account and the search service that Microsoft keeps for a workspace in a managed resource group have
the same key: they are found and verified, and never written to.
"""

from shared.catalog.resource_manager import (
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    RSA,
    SIZES,
    advice,
    vault_access,
)
from shared.domain.kinds import Completion, Kind, Symptom, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level
from shared.domain.shapes import UrlReference

_URL = "properties.encryption.keyVaultProperties.keyIdentifier"
_SHAPE = UrlReference(place="workspace", when=("properties.encryption.status", "Enabled"), url=_URL)

_KEYS = "https://learn.microsoft.com/azure/machine-learning/concept-customer-managed-keys"
_UPDATE = "https://learn.microsoft.com/rest/api/azureml/workspaces/update"

ML_WORKSPACE = Kind(
    id="ml_workspace",
    title="Machine Learning workspace",
    resource_type="Microsoft.MachineLearningServices/workspaces",
    # Has enableServiceSideCMKEncryption, without which some could not be told apart.
    api_version="2026-05-01",
    shape=_SHAPE,
    write=Write(
        # The update's own model has nothing but the identifier: vault and identity stay.
        verb="PATCH",
        send=(_URL,),
        never=(),
        guard="",
        completion=Completion.STATE,
    ),
    proof=AllOf((EchoesTarget(_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # Every example has a version; that a workspace follows the vault is said nowhere.
    versionless=None,
    identities=("properties.encryption.identity.userAssignedIdentity",),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.MachineLearningServices/workspaces/read",
        "Microsoft.MachineLearningServices/workspaces/write",
        GROUP_READ,
    ),
    advice={
        # [I] azure-docs#108584: "CMK workspaces should have purge protection enabled …".
        "BadRequest": (
            "see the message: the key must be of the workspace's own vault, in its subscription,"
            " with soft-delete and purge protection on"
        ),
        **advice("workspaces/read and workspaces/write on the workspace"),
    },
    symptoms=(
        Symptom(
            path="properties.enableServiceSideCMKEncryption",
            says="true",
            advice=(
                "with service-side encryption Microsoft supports no rotation of the key: keep its"
                " version enabled, or move to a new workspace"
            ),
        ),
    ),
    limits=(
        "only a key of the same vault, which is in the workspace's subscription",
        "what Microsoft keeps for it in a managed resource group is verified, never written to",
    ),
    sources=(
        _KEYS,
        _UPDATE,
        "azure-rest-api-specs: Workspace/update.json (2024-10-01)",
        "azure-cli-extensions, recorded traffic: workspace with a customer-managed key",
        "bicep-types-az: microsoft.machinelearningservices 2026-05-01",
        "go-azure-sdk: machinelearningservices 2025-06-01, EncryptionKeyVaultUpdateProperties",
    ),
    if_stuck=(
        "look at the workspace's state and activity log; "
        + vault_access("the workspace's identity and Cosmos DB's own principal")
    ),
)
