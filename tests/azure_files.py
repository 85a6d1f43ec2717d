"""What ``infra/`` is told by the code: the roles, and the names in Keyturn's storage."""

import json

from shared.adapters.storage.bodies import CONTAINER
from shared.adapters.storage.tables import TABLES
from shared.catalog.role import KEYS_ROTATE, KEYS_UPDATE, ROLE, Where
from shared.wiring import EVENTS_QUEUE, STEPS_QUEUE

ROLES = ("reader", "mover", "container-groups", "key-reader", "key-rotator", "key-keeper")
"""The roles, by the names of their files in ``infra/roles``."""

_READER = (Where.SUBSCRIPTIONS, Where.VAULTS)
_NOT_TO_READ = {KEYS_ROTATE, KEYS_UPDATE}


def role(name: str) -> str:
    """Return the text that ``infra/roles/NAME.json`` must have.

    Management groups take no role with data actions, so what is done with keys stands apart.
    Source: azure-docs, role-based-access-control/custom-roles, "Custom role limits".
    """
    title, description, actions, data_actions = {
        "reader": (
            "Keyturn Reader",
            "Find what uses a key, and prove which version it uses. Writes nothing.",
            _at(*_READER),
            [],
        ),
        "mover": (
            "Keyturn Mover",
            "Make what uses a key refer to its newest version.",
            _at(Where.MOVED),
            [],
        ),
        "container-groups": (
            "Keyturn Container Group Recreator",
            "Delete container groups and make them again, where the policy allows it.",
            _at(Where.GROUPS),
            [],
        ),
        "key-reader": (
            "Keyturn Key Reader",
            "Read keys, their versions and their rotation policies; never what they encrypt.",
            [],
            [action for action in _at(Where.KEYS) if action not in _NOT_TO_READ],
        ),
        "key-rotator": (
            "Keyturn Key Rotator",
            "Have a vault make a new version of a key.",
            [],
            [KEYS_ROTATE],
        ),
        "key-keeper": (
            "Keyturn Key Keeper",
            "Change a version's expiry and whether it is enabled.",
            [],
            [KEYS_UPDATE],
        ),
    }[name]
    return _json(
        {
            "name": title,
            "description": description,
            "actions": actions,
            "dataActions": data_actions,
        }
    )


def storage_names() -> str:
    """Return the text that ``infra/app/storage-names.json`` must have."""
    return _json(
        {
            "queues": [
                f"{name}{kind}" for name in (STEPS_QUEUE, EVENTS_QUEUE) for kind in ("", "-poison")
            ],
            "tables": sorted(set(TABLES.values())),
            "containers": [CONTAINER],
        }
    )


def _at(*wheres: Where) -> list[str]:
    return sorted({right.action for right in ROLE if right.where in wheres})


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
