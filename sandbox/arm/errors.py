"""What ARM answers when it refuses: one exception, and the recorded or documented envelopes."""

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.arm.resource_ids import ResourceId


class ArmError(Exception):
    """A refusal in ARM's envelope ``{"error": {"code", "message"}}``.

    Attributes:
        status: The HTTP status.
        code: ARM's word for what is wrong.
        details: ARM's ``details``; left out of the envelope where empty.
        headers: Headers of the answer besides the usual ones.
        bare: Whether the answer is the error itself, without the envelope.
    """

    def __init__(  # noqa: PLR0913 - each is one part of the answer, all but three by name
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        bare: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details
        self.headers = dict(headers or {})
        self.bare = bare

    @property
    def body(self) -> dict[str, Any]:
        """The answer's body."""
        error: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.details:
            error["details"] = list(self.details)
        return error if self.bare else {"error": error}


_GATEWAY = {"x-ms-failure-cause": "gateway"}


def api_version_missing() -> ArmError:
    """Answered before the token is looked at (MicrosoftDocs/feedback#2279, read in a browser)."""
    return ArmError(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
        headers=_GATEWAY,
    )


def api_version_invalid(version: str, supported: Sequence[str]) -> ArmError:
    """Refuse an api-version of ARM's own resources (text: ansible-collections/azure#1739)."""
    return ArmError(
        400,
        "InvalidApiVersionParameter",
        f"The api-version '{version}' is invalid. "
        f"The supported versions are '{','.join(supported)}'.",
        headers=_GATEWAY,
    )


def type_not_served(namespace: str, type_name: str) -> ArmError:
    """Refuse a type that no provider here serves (documented: InvalidResourceType)."""
    return ArmError(
        404,
        "InvalidResourceType",
        f"The resource type '{type_name}' could not be found in the namespace '{namespace}' "
        "for the api version given.",
        headers=_GATEWAY,
    )


def type_not_served_at(version: str, type_name: str, supported: Sequence[str]) -> ArmError:
    """Refuse an api-version of a provider's type (text: azure-cli#7075, without the locations)."""
    return ArmError(
        400,
        "NoRegisteredProviderFound",
        f"No registered resource provider found for API version '{version}' for type "
        f"'{type_name}'. The supported api-versions are '{', '.join(supported)}'.",
        headers=_GATEWAY,
    )


def subscription_not_found(subscription: str) -> ArmError:
    """Refuse an unknown subscription (text: azure-cli#33657)."""
    return ArmError(
        404,
        "SubscriptionNotFound",
        f"The subscription '{subscription}' could not be found.",
        headers=_GATEWAY,
    )


def group_not_found(group: str) -> ArmError:
    """Refuse an unknown resource group (recorded: sql-servers/aso_sql_server_20250101.json)."""
    return ArmError(
        404,
        "ResourceGroupNotFound",
        f"Resource group '{group}' could not be found.",
        headers=_GATEWAY,
    )


def resource_not_found(resource: ResourceId) -> ArmError:
    """Refuse an unknown resource (recorded: disk-encryption-sets/aso_des_20240302.json)."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{resource.type}/{resource.name}' under resource group "
        f"'{resource.group}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
        headers=_GATEWAY,
    )


def parent_not_found(parent: ResourceId) -> ArmError:
    """Refuse a child of what does not exist (text: terraform-provider-azurerm#18311)."""
    return ArmError(
        404,
        "ParentResourceNotFound",
        "Can not perform requested operation on nested resource. "
        f"Parent resource '{parent.name}' not found.",
        headers=_GATEWAY,
    )


def operation_not_found(operation: str) -> ArmError:
    """Refuse a poll of an operation that is not known (code and text are ours)."""
    return ArmError(404, "OperationNotFound", f"The operation '{operation}' was not found.")


def etag_mismatch(name: str) -> ArmError:
    """Refuse a write to something that has changed since (recorded: 412_precondition_failed.json).

    Recorded for DNS, without the envelope; the kind of thing is named there.
    """
    message = f"The resource {name} has been modified (etag mismatch)."
    return ArmError(412, "PreconditionFailed", message, bare=True)


def authorization_failed(principal: str, action: str, scope: str) -> ArmError:
    """Refuse a caller without the right (recorded: arm-common/403_authorization_failed.json)."""
    return ArmError(
        403,
        "AuthorizationFailed",
        f"The client '{principal}' with object id '{principal}' does not have authorization to "
        f"perform action '{action}' over scope '{scope}' or the scope is invalid. If access was "
        "recently granted, please refresh your credentials.",
        headers=_GATEWAY,
    )


def linked_authorization_failed(
    principal: str, action: str, scope: str, linked_action: str, linked: str
) -> ArmError:
    """Refuse a body that names another resource without a right to it.

    Code recorded (real-behaviour.md); status and text as quoted by users (aad-pod-identity#443).

    Args:
        principal: Object id of the caller.
        action: What it does, and may do.
        scope: To what.
        linked_action: What it may not do.
        linked: To what.
    """
    return ArmError(
        403,
        "LinkedAuthorizationFailed",
        f"The client '{principal}' with object id '{principal}' has permission to perform action "
        f"'{action}' on scope '{scope}'; however, it does not have permission to perform action "
        f"'{linked_action}' on the linked scope(s) '{linked}' or the linked scope(s) are invalid.",
        headers=_GATEWAY,
    )


def content_invalid(reason: str) -> ArmError:
    """Refuse a body that is not a JSON object (code recorded: real-behaviour.md, gateway)."""
    return ArmError(
        400,
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: '{reason}'.",
        headers=_GATEWAY,
    )


def method_not_allowed(method: str) -> ArmError:
    """Refuse a method that the addressed thing does not have."""
    return ArmError(
        405,
        "MethodNotAllowed",
        f"The request method '{method}' is not supported for this resource.",
        headers=_GATEWAY,
    )
