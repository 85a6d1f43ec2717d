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

    def made(self, resource_id: ResourceId, request: Body) -> Resource:
        """Return a protector whose creation is over, with the server key that it names."""
        uri = json_paths.text(request, _URI)
        vault, _, key, *version = uri.removeprefix("https://").split("/")
        name = "_".join([vault.partition(".")[0], key, *version])
        key_id = _server_key(resource_id, name)
        body = {"id": str(key_id), "name": name, "type": key_id.type, "properties": {"uri": uri}}
        self.store.add(Resource(key_id, body))
        json_paths.put(request, _NAME, name)
        return super().made(resource_id, request)

    def _of_put(self, resource: Resource, request: Body) -> Body:
        body = super()._of_put(resource, request)
        name = json_paths.text(body, _NAME)
        if not name or json_paths.text(body, "properties.serverKeyType") != "AzureKeyVault":
            json_paths.drop(body, _URI)
            return body
        found = self.store.find(_server_key(resource.id, name))
        if found is None:
            raise _NO_SUCH_KEY.error()
        json_paths.put(body, _URI, json_paths.text(found.body, _URI))
        return body


def _server_key(protector: ResourceId, name: str) -> ResourceId:
    parent = protector.parent
    if parent is None:
        raise ValueError("a protector lies under a server")
    return ResourceId(
        parent.subscription, parent.group, f"{parent.type}/keys", f"{parent.name}/{name}"
    )
