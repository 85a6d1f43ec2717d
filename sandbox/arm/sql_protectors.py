"""TDE protectors of SQL servers and managed instances: they name a server key, which must exist."""

from sandbox.arm import json_paths
from sandbox.arm.emulated import Refusal
from sandbox.arm.emulated_resources import EmulatedResources
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource, ResourceStore

_NAME, _URI = "properties.serverKeyName", "properties.uri"
# docs: the REST reference's "400 InvalidKeyName - An invalid value was given for the server key
# name."; that an unknown name is answered like that is inference.
_NO_SUCH_KEY = Refusal(400, "InvalidKeyName", "An invalid value was given for the server key name.")


class SqlProtectors(EmulatedResources):
    """The provider of protectors; see ``Provider``."""

    store: ResourceStore

    def _of_put(self, resource: Resource, request: Body) -> Body:
        body = super()._of_put(resource, request)
        name = json_paths.text(body, _NAME)
        if not name or json_paths.text(body, "properties.serverKeyType") != "AzureKeyVault":
            json_paths.drop(body, _URI)
            return body
        parent = resource.id.parent
        if parent is None:
            raise ValueError("a protector lies under a server")
        key = ResourceId(
            parent.subscription, parent.group, f"{parent.type}/keys", f"{parent.name}/{name}"
        )
        found = self.store.find(key)
        if found is None:
            raise _NO_SUCH_KEY.error()
        json_paths.put(body, _URI, json_paths.text(found.body, _URI))
        return body
