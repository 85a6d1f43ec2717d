"""What Azure Resource Manager answers for any kind of resource, and what to do about it."""


def advice(rights: str) -> dict[str, str]:
    """Return what a person does about each code.

    Args:
        rights: What Keyturn's identity needs: ``X/read and X/write on the account``.
    """
    return {
        "AuthorizationFailed": f"give Keyturn's identity {rights}",
        # Recorded in azure-cli's traffic: it needs an action on an identity or other scope.
        "LinkedAuthorizationFailed": (
            "the resource names another one (an identity, a subnet) on which Keyturn's identity"
            " needs a right of its own: give it the action that the message names"
        ),
        "ScopeLocked": "remove the management lock on the resource or its group, then rotate again",
        "RequestDisallowedByPolicy": (
            "an Azure Policy assignment refuses the resource as it is: mend what the message names,"
            " or exempt the resource, then rotate again"
        ),
    }


GROUP_READ = "Microsoft.Resources/subscriptions/resourceGroups/read"
"""To tell a managed resource group, whose resources are never written to."""

ASSIGN_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
"""Where the body repeats a user-assigned identity."""

JOIN_SUBNET = "Microsoft.Network/virtualNetworks/subnets/join/action"
"""Where the body repeats a subnet."""
