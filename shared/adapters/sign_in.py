"""The identity of whoever sits at this machine: ``az login``, or what azure-identity finds."""

import base64
import json
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError

from shared.adapters.redaction import redacted
from shared.domain.callers import Who
from shared.domain.errors import NotSignedInError

_LEFT = 300  # seconds that a token must be good for
_EXCERPT = 400


@dataclass(slots=True)
class SignedIn:
    """A credential whose tokens are kept while they are good: ``az`` takes a second for each.

    Attributes:
        mend: What to do where there is none, for messages.
    """

    credential: TokenCredential
    mend: str
    _kept: dict[tuple[object, ...], AccessToken] = field(default_factory=dict)

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - the SDK's
        """See ``TokenCredential.get_token``.

        Raises:
            NotSignedInError: There is no token to be had.
        """
        wanted = (scopes, options.get("tenant_id"), options.get("claims"))
        kept = self._kept.get(wanted)
        if kept is None or kept.expires_on < time.time() + _LEFT:
            try:
                kept = self.credential.get_token(*scopes, **options)
            except (AzureError, ValueError) as error:
                said = redacted(" ".join(str(error).split()))[:_EXCERPT]
                raise NotSignedInError(f"{self.mend} (no token: {said})") from error
            self._kept[wanted] = kept
        return kept

    def who(self, scope: str) -> Who:
        """Return who the token for ``scope`` says that we are; it is read, not checked.

        Raises:
            NotSignedInError: There is no token to be had.
        """
        claims = _claims(self.get_token(scope).token)
        names = ("preferred_username", "upn", "unique_name", "name", "appid", "azp")
        name = next((str(claims[each]) for each in names if claims.get(each)), "")
        return Who(str(claims.get("tid", "")), str(claims.get("oid", "")), name)


def sign_in(*, default: bool) -> SignedIn:
    """Return the identity of the Azure CLI, or of whatever azure-identity finds.

    Args:
        default: Look beyond the Azure CLI: environment, managed identity, and so on.
    """
    logging.getLogger("azure.identity").setLevel(logging.ERROR)  # errors are told once, by us
    if default:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - slow to load

        mend = "no identity was found: set AZURE_CLIENT_ID and the like, or run az login"
        return SignedIn(DefaultAzureCredential(), mend)
    from azure.identity import AzureCliCredential  # noqa: PLC0415 - likewise

    return SignedIn(AzureCliCredential(process_timeout=30), "sign in first: az login")


def _claims(token: str) -> dict[str, Any]:
    payload = token.partition(".")[2].partition(".")[0]
    try:
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
