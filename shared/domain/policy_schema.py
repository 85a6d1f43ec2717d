"""The JSON Schema of ``keyturn.yaml``, made from the classes of ``policy``."""

from typing import Any

import msgspec

from shared.domain.policy import Policy

SCHEMA_ID = "urn:keyturn:policy:1"


def schema() -> dict[str, Any]:
    """Return the schema, of JSON Schema 2020-12."""
    (root,), parts = msgspec.json.schema_components([Policy], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Keyturn policy",
        **root,
        "$defs": parts,
    }
