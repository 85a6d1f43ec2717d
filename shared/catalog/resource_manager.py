"""What many kinds have in common: what Azure Resource Manager answers, keys, windows."""

from datetime import timedelta

from shared.domain.kinds import Looks, Window
from shared.domain.pacing import Budget


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


def vault_access(identity: str) -> str:
    """Return what to do where a service cannot use a key under ``identity``: ``its identity``."""
    return (
        f"give {identity} get, wrapKey and unwrapKey on the vault (role Key Vault Crypto Service"
        " Encryption User), let it through the vault's firewall, and check that both the old"
        " version and the new one are enabled and not expired; then rotate again"
    )


def refused(identity: str, first: str = "") -> dict[str, str]:
    """Return what to do where a service refuses a key under ARM's general code.

    That such refusals come with this code is a guess where no page or recording names one.

    Args:
        identity: See ``vault_access``.
        first: What to look at first.
    """
    return {"BadRequest": f"see the message; {first}{vault_access(identity)}"}


RSA = frozenset({"RSA", "RSA-HSM"})
SIZES = frozenset({2048, 3072, 4096})

NO_BUDGET = Budget(reads=(), writes=())
"""Of its own, beside Resource Manager's, the provider documents none."""

ASSUMED = Window(length=timedelta(hours=1), looks=Looks(first=timedelta(seconds=30)), source="")
"""No page has a figure."""

PROTECTED_VAULT = "a vault with soft-delete and purge protection"

GROUP_READ = "Microsoft.Resources/subscriptions/resourceGroups/read"
"""To tell a managed resource group, whose resources are never written to."""

ASSIGN_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
"""Where the body repeats a user-assigned identity."""

JOIN_SUBNET = "Microsoft.Network/virtualNetworks/subnets/join/action"
"""Where the body repeats a subnet."""
