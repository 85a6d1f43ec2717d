"""What must hold before a resource is written to, besides the plan."""

from shared.domain.errors import BusyError
from shared.domain.json_paths import Json, text_at
from shared.domain.kinds import Kind
from shared.domain.plans import Repoint, at_rest
from shared.ports import Resources


def owner_of(resources: Resources, resource: str, body: Json) -> str:
    """Return what keeps a resource for itself; empty: nothing does.

    Such a resource lies in a managed resource group, which is never written to: its owner may move
    it, in the same rotation if that holds the key too.
    """
    return text_at(body, "managedBy") or resources.managed_by(resource)


def why_not_written(
    resources: Resources, kind: Kind, resource: str, body: Json, planned: Repoint
) -> tuple[str, str]:
    """Return why a resource is left to a person, and what to do; both empty: it may be written.

    Args:
        resources: Where it lies.
        kind: Its catalog entry.
        resource: Its id.
        body: A fresh GET of it.
        planned: What would be sent.

    Raises:
        BusyError: Another change of it is under way.
        PermanentError: What must be known cannot be read.
    """
    if not at_rest(body):
        raise BusyError(f"{resource} is being changed: its provisioningState is not final")
    if planned.owes == "recreate" and (lacks := _lacks(resources, kind, resource, planned.body)):
        why = "it was not deleted, because it could not be deleted and made again"
        advice = "grant that there (it may take some minutes to hold), then retry"
        return f"{why}: our identity lacks {'; '.join(lacks)}", advice
    return "", ""


def _lacks(resources: Resources, kind: Kind, resource: str, definition: Json) -> list[str]:
    """Return what our identity lacks to delete a resource and make it again: what, and where."""
    taken = kind.recreation.takes(resource, definition) if kind.recreation else ()
    return [
        f"'{action}' on {place}"
        for place, actions in taken
        for action in resources.denied(place, actions)
    ]
