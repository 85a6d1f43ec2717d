"""Event Hubs and Service Bus namespaces, which keep a list of keys.

Any key of the list can open a namespace. All entries are sent with every write, and the one of the
key that rotates is changed.
"""

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
    refused,
)
from shared.domain.kinds import Completion, Kind, Looks, Window, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level
from shared.domain.shapes import ReferenceList, SplitReference

_ENCRYPTION = "properties.encryption"
_SOURCE = f"{_ENCRYPTION}.keySource"
_SHAPE = ReferenceList(
    when=(_SOURCE, "Microsoft.KeyVault"),
    entries=f"{_ENCRYPTION}.keyVaultProperties",
    each=SplitReference(
        place="key", when=None, vault="keyVaultUri", name="keyName", version="keyVersion"
    ),
)

_COMPUTED = (
    "identity.principalId",
    "identity.tenantId",
    "identity.userAssignedIdentities.*.principalId",
    "identity.userAssignedIdentities.*.clientId",
    "properties.provisioningState",
    "properties.status",
    "properties.createdAt",
    "properties.updatedAt",
    "properties.serviceBusEndpoint",
    "properties.metricId",
    # Resources of their own: terraform's PUT of a namespace never has them, and they stay.
    "properties.privateEndpointConnections",
)

_PROOF = AllOf((EchoesTarget(_SHAPE), FieldIs("properties.provisioningState", "Succeeded")))

_EVENT_HUBS = "https://learn.microsoft.com/azure/event-hubs/configure-customer-managed-key"
_SERVICE_BUS = (
    "https://learn.microsoft.com/azure/service-bus-messaging/configure-customer-managed-key"
)

_LIMITS = (
    "Premium or Dedicated tier; encryption with one's own key is never undone",
    PROTECTED_VAULT,
)

EVENT_HUBS_NAMESPACE = Kind(
    id="eventhub_namespace",
    title="Event Hubs namespace",
    resource_type="Microsoft.EventHub/namespaces",
    # With a PUT, what a version does not know may be lost: the newest stable one.
    api_version="2026-01-01",
    shape=_SHAPE,
    write=Write(
        # The catalog of facts has a PATCH; recorded is a PUT of the whole, with all keys, and that
        # is what is sent. "All KeyVaultProperties must be specified" ([I] pulumi-azure#243).
        verb="PUT",
        send=("location", "tags", "sku", "identity", "properties"),
        never=(*_COMPUTED, "properties.geoDataReplication.locations.*.replicaState"),
        guard=_SOURCE,
        # Recorded: 200 without a word of an operation, then Updating, ActivatingIdentity, …
        completion=Completion.STATE,
    ),
    proof=_PROOF,
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # "polls … every five minutes", with no field that shows what came of it.
    versionless=Window(
        length=timedelta(minutes=15), looks=Looks(first=timedelta(minutes=5)), source=_EVENT_HUBS
    ),
    identities=("properties.encryption.keyVaultProperties.*.identity.userAssignedIdentity",),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.EventHub/namespaces/read",
        "Microsoft.EventHub/namespaces/write",
        GROUP_READ,
        # The identity is repeated.
        ASSIGN_IDENTITY,
    ),
    advice={
        **refused("the namespace's identity for that key"),
        **advice("namespaces/read and namespaces/write on the Event Hubs namespace"),
    },
    limits=("at most three keys; the key is set while the namespace is empty", *_LIMITS),
    sources=(
        _EVENT_HUBS,
        "azure-cli 2.77.0, recorded traffic: keys of a namespace added, replaced and removed (PUT)",
        "bicep-types-az: microsoft.eventhub 2026-01-01",
        "terraform-provider-azurerm: eventhub_namespace_customer_managed_key_resource.go",
    ),
)

SERVICE_BUS_NAMESPACE = Kind(
    id="servicebus_namespace",
    title="Service Bus namespace",
    resource_type="Microsoft.ServiceBus/namespaces",
    # With a PUT, what a version does not know may be lost: the newest stable one.
    api_version="2026-01-01",
    shape=_SHAPE,
    write=Write(
        # The catalog of facts has a PATCH; recorded is a PUT of the whole, and that is sent.
        verb="PUT",
        send=("location", "tags", "sku", "identity", "properties"),
        never=_COMPUTED,
        guard=_SOURCE,
        # Recorded: 200 or 201, with an operation.
        completion=Completion.STATE,
    ),
    proof=_PROOF,
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # A key without a version is taken; how soon a new one is taken up is documented nowhere.
    versionless=ASSUMED,
    identities=("properties.encryption.keyVaultProperties.*.identity.userAssignedIdentity",),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.ServiceBus/namespaces/read",
        "Microsoft.ServiceBus/namespaces/write",
        GROUP_READ,
        # The identity is repeated.
        ASSIGN_IDENTITY,
    ),
    advice={
        **refused("the namespace's identity for that key"),
        **advice("namespaces/read and namespaces/write on the Service Bus namespace"),
    },
    limits=_LIMITS,
    sources=(
        _SERVICE_BUS,
        "azure-cli 2.77.0, recorded traffic: keys of a namespace replaced (PUT 200 with operation)",
        "bicep-types-az: microsoft.servicebus 2026-01-01",
        "terraform-provider-azurerm: servicebus_namespace_customer_managed_key_resource.go",
    ),
)
