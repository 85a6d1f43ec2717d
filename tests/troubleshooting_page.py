"""``docs/troubleshooting.md``: made from what the catalog says of error codes."""

from collections.abc import Iterator

from shared.catalog import KINDS
from shared.catalog.resource_manager import advice as of_any_kind
from shared.catalog.storage_errors import EXPLANATIONS

_HEAD = """\
# Troubleshooting by error code

<!-- Made from the catalog by `make generated`. -->

A verdict's `reason` names the code that the service gave, and its `advice` is what stands here.
What to do first: [runbooks](operations/runbooks.md). For what is not here, see the message: it says
what was tried, on what, and what came back.

"""


_APP = {
    "no functions; `Keyturn's settings have … problem(s)` in the log": (
        "mend each setting that the log lists: `azd env set`, `azd provision`"
    ),
    "`… is a setting of the policy now`": (
        "move the setting into the [policy](policy.md), and remove it"
    ),
    "403 of its own storage in the log": (
        "the identity's roles have not taken hold (ten minutes), or the network is closed:"
        " `infra/roles/granted.sh`"
    ),
    "401 of every call": (
        "sign-in is on: send a token for `api://CLIENT_ID` ([deploy](deploy.md#sign-in))"
    ),
    "403 of calls with a token": "the caller has none of Keyturn's app roles",
    "Event Grid's deliveries fail with 401": (
        "`/runtime/webhooks/eventgrid` is not among the excluded paths of sign-in"
    ),
    "`event … refused`": "it is malformed, or of a vault that is not in `KEYTURN_VAULTS`",
    "a subscription counts as not readable": "grant `reader` on the whole of it",
}


def troubleshooting() -> str:
    """Return the text that the page must have."""
    return _HEAD + "\n".join(_sections()).rstrip() + "\n"


def _sections() -> Iterator[str]:
    yield "## The app itself\n"
    yield from _table("what is seen", _APP)
    everywhere = of_any_kind("what its kind needs")
    yield from _section("Any resource, from Resource Manager", everywhere)
    for kind in KINDS:
        own = {code: text for code, text in kind.advice.items() if code not in everywhere}
        rights = kind.advice.get("AuthorizationFailed")
        if rights and rights != everywhere["AuthorizationFailed"]:
            own = {"AuthorizationFailed": rights, **own}
        if own:
            yield from _section(kind.title[:1].upper() + kind.title[1:], own)
    blobs = {code: explained.advice for code, explained in EXPLANATIONS.items()}
    yield from _section("Blobs: deployment configs and the canary", blobs)


def _section(title: str, advice: dict[str, str]) -> Iterator[str]:
    yield f"## {title}\n"
    yield from _table("code", {f"`{code}`": text for code, text in sorted(advice.items())})


def _table(first: str, rows: dict[str, str]) -> Iterator[str]:
    yield f"| {first} | what to do |\n|---|---|"
    for name, text in rows.items():
        yield f"| {name} | {_cell(text)} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
