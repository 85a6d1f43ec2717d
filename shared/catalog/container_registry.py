"""Container registries.

Premium only; the key is chosen when a registry is made, and can be changed but never given up. A
registry whose key names no version follows the vault by itself.
"""

from datetime import timedelta

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
from shared.domain.kinds import Completion, Kind, Looks, Window, Write
from shared.domain.proofs import AllOf, FieldIs, Level, NamesTarget
from shared.domain.shapes import UrlReference

_STATUS = "properties.encryption.status"
_KEY = "properties.encryption.keyVaultProperties"
_IN_USE = f"{_KEY}.versionedKeyIdentifier"

_OVERVIEW = "https://learn.microsoft.com/azure/container-registry/tutorial-customer-managed-keys"
_TROUBLE = (
    "https://learn.microsoft.com/azure/container-registry/"
    "tutorial-troubleshoot-customer-managed-keys"
)

CONTAINER_REGISTRY = Kind(
    id="container_registry",
    title="container registry",
    resource_type="Microsoft.ContainerRegistry/registries",
    # Recorded at 2025-03-01-preview; this is the stable version after it.
    api_version="2025-11-01",
    shape=UrlReference(place="registry", when=(_STATUS, "enabled"), url=f"{_KEY}.keyIdentifier"),
    write=Write(
        # The identity, a client id, must be repeated (recorded: every PATCH has it).
        verb="PATCH",
        send=(_STATUS, _KEY),
        never=(_IN_USE, f"{_KEY}.keyRotationEnabled", f"{_KEY}.lastKeyRotationTimestamp"),
        guard=_STATUS,
        # Recorded: 201, Azure-AsyncOperation, and the state Updating until it ends.
        completion=Completion.STATE,
    ),
    # "the version of the key that is actually used for encryption". Recorded: the answer to the
    # PATCH has it already, while the state is still Updating.
    proof=AllOf((NamesTarget(_IN_USE), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.REPORTED,
    in_use=_IN_USE,
    pinned=ASSUMED,
    # "the registry automatically detects … within 1 hour".
    versionless=Window(
        length=timedelta(hours=1), looks=Looks(first=timedelta(minutes=5)), source=_OVERVIEW
    ),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.ContainerRegistry/registries/read",
        "Microsoft.ContainerRegistry/registries/write",
        GROUP_READ,
    ),
    advice={
        # The text is quoted in azure-docs#61015: "Failed to access KeyId … Verify that identity …".
        **refused("the registry's identity"),
        # docs: "The identity associated with the registry is inactive".
        "Forbidden": (
            "the identity that was removed from the registry must be assigned again (az acr"
            " identity assign), or another one set (az acr encryption rotate-key --identity)"
        ),
        **advice("registries/read and registries/write on the registry"),
    },
    limits=(
        "Premium only; customer-managed keys are chosen when the registry is made",
        "behind a firewall the vault must let trusted Microsoft services in",
        PROTECTED_VAULT,
    ),
    sources=(
        _OVERVIEW,
        _TROUBLE,
        "azure-cli 2.77.0, recorded traffic: registry moved to another key",
        "bicep-types-az: microsoft.containerregistry 2025-11-01",
        "terraform-provider-azurerm: container_registry_resource.go",
    ),
)
