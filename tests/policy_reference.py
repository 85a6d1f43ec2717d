"""``docs/policy.md``: every setting of the policy, made from its schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from shared.domain.policy import Policy, Rules
from shared.domain.policy_schema import schema

EXAMPLE = """\
# yaml-language-server: $schema=keyturn.schema.json
version: 1

# Of the vaults in KEYTURN_VAULTS, these keys. An event for another key is refused and counted.
manage: ["kv-contoso-prod/cmk-*", "kv-contoso-test/*"]

# For every key that no rule says otherwise of.
defaults:
  mode: approve                # nothing is written before an approver has agreed
  approvalHours: 8             # and no write begins later than that after it
  windows:                     # and none outside these
    - {days: [sat, sun], opens: "22:00", closes: "04:00", zone: Europe/Berlin}
  subscriptions:               # one that cannot be read fails the rotation
    - 0b1f6471-1bf0-4dda-aec3-cb9272f09590
  nearExpiry: ask              # an approver lets the vault make the next version
  maxAgeDays: 365              # older than a year:
  overage: alarm               # somebody is told

rules:
  # Of each setting, the last rule that matches the key and has it wins.
  - keys: ["kv-contoso-test/*"]
    mode: auto
    windows: []                # at any time
    versionless: nudge
    recreateContainerGroups: true
  - keys: ["kv-contoso-prod/cmk-ledger"]
    mode: observe              # only told
"""

_PAGE = """\
# The policy

<!-- Made from the schema of the policy by `make generated`. -->

`keyturn.yaml` says what Keyturn may do. Setting `KEYTURN_POLICY` says where it lies: a path in the
app's folder, or the URL of a blob. It is read again every minute and checked whole; its
[JSON Schema](keyturn.schema.json) (2020-12) lets an editor do the same. Aliases, names that stand
twice and an empty file are refused. While it cannot be read, or anything in it is wrong, no write
begins.

```yaml
{example}```

## The document

{document}
## Settings

In `defaults` for every key, in `rules` for some.

{settings}
## A rule

The settings above, and:

{rule}
## A window

{window}"""


def policy_reference() -> str:
    """Return the text that ``docs/policy.md`` must have."""
    parts = schema()["$defs"]
    settings, rule = parts["Settings"]["properties"], parts["Rule"]["properties"]
    defaults = json.loads(msgspec.json.encode(Rules()))
    return _PAGE.format(
        example=EXAMPLE,
        document=_table(parts["Policy"]["properties"], json.loads(msgspec.json.encode(Policy()))),
        settings=_table(settings, defaults),
        rule=_table({name: rule[name] for name in rule if name not in settings}, {}),
        window=_table(parts["Window"]["properties"], {}),
    )


def policy_schema() -> str:
    """Return the text that ``docs/keyturn.schema.json`` must have."""
    return json.dumps(schema(), indent=2) + "\n"


def _table(properties: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    return "".join(_rows(properties, defaults))


def _rows(properties: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    yield "| setting | type | default | meaning |\n|---|---|---|---|\n"
    for name, said in properties.items():
        default = said.get("default", defaults.get(name))
        shown = "(required)" if default is None else f"`{_yaml(default)}`"
        yield f"| `{name}` | {_type(said)} | {shown} | {said['description']} |\n"


def _type(said: Mapping[str, Any]) -> str:
    """Return what may stand there, in words."""
    if reference := said.get("$ref"):
        name = reference.rpartition("/")[2]
        part = schema()["$defs"][name]
        return _type(part) if "enum" in part else name.lower()
    if values := said.get("enum"):
        return ", ".join(f"`{_yaml(value)}`" for value in values)
    if said["type"] == "array":
        return f"list of: {_type(said['items'])}"
    if said["type"] == "integer":
        return f"{said['minimum']} to {said['maximum']}"
    return {"string": "text", "boolean": "`true`, `false`"}[said["type"]]


def _yaml(value: object) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    return json.dumps(value) if not isinstance(value, str) or "*" in value else value
