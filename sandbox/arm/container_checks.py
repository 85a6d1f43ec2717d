"""What the container service refuses, and with what words."""

from collections.abc import Mapping
from typing import Any

from sandbox.arm.container_bodies import REFERENCES_SINCE, environment, references
from sandbox.arm.errors import ArmError, content_invalid
from sandbox.arm.resources import Body

_VERSION_OPTIONAL_SINCE = "2023-05-01"  # azure-rest-api-specs#24296
_LASTING = (
    "osType",
    "restartPolicy",
    "sku",
    "priority",
    "subnetIds",
    "dnsConfig",
    "diagnostics",
    "encryptionProperties",
)


def check_request(name: str, request: Body, api_version: str) -> None:
    """Refuse a PUT that does not say all it must, or says what its api-version does not know.

    Raises:
        ArmError: 400.
    """
    properties = request.get("properties") or {}
    _need(request, "location")
    _need(properties, "containers", "osType")
    for container in (*properties["containers"], *(properties.get("initContainers") or [])):
        _need(container, "name", "properties")
    for container in properties["containers"]:
        _need(container["properties"], "image", "resources")
    for _, variable in environment(properties):
        _need(variable, "name")
    _check_secrets(name, properties)
    _check_encryption(request, api_version)
    _check_references(request, api_version)


def _need(holder: Body, *names: str) -> None:
    """Refuse an object that lacks what the OpenAPI file requires of it (text ours)."""
    for name in names:
        if not holder.get(name):
            raise content_invalid(f"Required property '{name}' not found in JSON.")


def _check_secrets(name: str, properties: Body) -> None:
    """Refuse what cannot be done without a secret that a GET had left out.

    A file share without its key: code from terraform-provider-azurerm#26631, text ours. A registry
    without a password: code and text ours. The workspace key is required by the OpenAPI file.
    """
    for volume in properties.get("volumes") or []:
        _need(volume, "name")
        share = volume.get("azureFile")
        if share and not (
            share.get("storageAccountKey") or share.get("storageAccountKeyReference")
        ):
            raise ArmError(
                400,
                "InvalidStorageAccountKey",
                f"The storage account key of volume '{volume['name']}' in container group "
                f"'{name}' is invalid.",
            )
    for credential in properties.get("imageRegistryCredentials") or []:
        _need(credential, "server")
        means = ("password", "passwordReference", "identity")
        if not any(credential.get(each) for each in means):
            raise ArmError(
                400,
                "InvalidImageRegistryCredential",
                f"The password of image registry '{credential.get('server')}' in container group "
                f"'{name}' is missing.",
            )
    logs = (properties.get("diagnostics") or {}).get("logAnalytics")
    if logs:
        _need(logs, "workspaceId", "workspaceKey")


def _check_encryption(request: Body, api_version: str) -> None:
    """Refuse a reference to a key that lacks a part; identity: inference, code and text ours."""
    encryption = request["properties"].get("encryptionProperties")
    if encryption is None:
        return
    _need(encryption, "vaultBaseUrl", "keyName")
    if api_version < _VERSION_OPTIONAL_SINCE:
        _need(encryption, "keyVersion")
    identity = encryption.get("identity")
    if identity and identity.lower() not in _assigned(request):
        raise _identity_not_assigned(identity)


def _check_references(request: Body, api_version: str) -> None:
    """Refuse secret references that lead nowhere (codes and texts ours).

    What an api-version without them makes of them is not known; the sandbox refuses, where a
    service that ignored them would start a group without its secrets.
    """
    properties = request["properties"]
    held = properties.get("secretReferences") or []
    used = references(properties)
    if api_version < REFERENCES_SINCE and (held or used):
        raise content_invalid("Could not find member 'secretReferences' on object.")
    for each in held:
        _need(each, "name", "identity", "secretReferenceUri")
        if str(each.get("identity")).lower() not in _assigned(request):
            raise _identity_not_assigned(str(each.get("identity")))
    if missing := used - {each["name"] for each in held}:
        raise ArmError(
            400,
            "InvalidSecretReference",
            f"The secret reference '{min(missing)}' was not found in 'secretReferences'.",
        )


def _assigned(request: Body) -> set[str]:
    named: Mapping[str, Any] = (request.get("identity") or {}).get("userAssignedIdentities") or {}
    return {each.lower() for each in named}


def _identity_not_assigned(identity: str) -> ArmError:
    message = f"The identity '{identity}' is not assigned to the container group."
    return ArmError(400, "InvalidIdentity", message)


def check_update(old: Body, new: Body, name: str) -> None:
    """Refuse a PUT on an existing group that changes what only a new group can have.

    docs: container-instances-update, "Properties that require container delete": operating system,
    CPU, memory and GPU, restart policy, network profile; reported for log analytics
    (azure-docs#65195). For ``encryptionProperties`` it is inference from
    terraform-provider-azurerm#16709 ("only allows setting it on creation, update is not
    supported"). Code and text as quoted by users (azure-docs#38067); the status is inference.

    Raises:
        ArmError: 400 InvalidContainerGroupUpdate.
    """
    if _lasting(old) != _lasting(new):
        raise ArmError(
            400,
            "InvalidContainerGroupUpdate",
            f"The updates on container group '{name}' are invalid. If you are going to update "
            "the os type, restart policy, network profile, CPU, memory or GPU resources for a "
            "container group, you must delete it first and then create a new one.",
        )


def _lasting(body: Body) -> Body:
    properties = body["properties"]
    resources = {
        each["name"]: each["properties"]["resources"].get("requests")
        for each in (*properties["containers"], *properties["initContainers"])
        if each["properties"].get("resources")
    }
    return {"resources": resources, **{name: properties.get(name) for name in _LASTING}}


def transitioning(name: str) -> ArmError:
    """Refuse a write during another (docs: troubleshooting, ContainerGroupTransitioning).

    Documented for start, stop, restart, create and delete. That it is also what a PUT meets while
    the group is being deleted, and a DELETE while it is being made, is inference.
    """
    message = f"The container group '{name}' is still transitioning, please retry later."
    return ArmError(409, "ContainerGroupTransitioning", message)


def key_not_accessible() -> ArmError:
    """Tell why a group did not start: its key cannot be used.

    Code and text: a deployment that a blog tells of (manateefic.com, "… with CMK in a Private Key
    Vault"). That the PUT is accepted and the operation fails is inference.
    """
    message = "The key vault key is not found to unwrap the encryption key."
    return ArmError(403, "MasterKeyNotAccessibleException", message)


def no_capacity(body: Body) -> ArmError:
    """Tell why a group did not start: the region is full (docs: troubleshooting, resources)."""
    message = (
        f"The requested resource is not available in the location '{body['location']}' at this "
        "moment. Please retry with a different resource request or in another location."
    )
    return ArmError(409, "ServiceUnavailable", message)
