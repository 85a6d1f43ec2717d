"""ARM's own words for a token that it does not accept."""

from datetime import UTC, datetime

from sandbox.arm.errors import ArmError
from sandbox.identity import Claims, Refusal, TokenRefused, TokenService

_AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
"""The second is what ``az`` asks for."""
_WRONG_AUDIENCE = (
    "The access token has been obtained for wrong audience or resource. It should exactly match "
    "with one of the allowed audiences"
)
_ALLOWED = ",".join(f"'{each}/','{each}'" for each in reversed(_AUDIENCES))


def authenticate(tokens: TokenService, authorization: str | None) -> Claims:
    """Return what the caller's token says.

    Codes and texts: recorded for an expired token
    (arm-common/401_expired_token_while_polling.json), quoted by users for a wrong audience
    (hashicorp/go-azure-helpers#51), documented for the others.

    Raises:
        ArmError: 401, with the challenge that names the tenant.
    """
    try:
        return tokens.check(authorization, *_AUDIENCES)
    except TokenRefused as refused:
        code, message, description = _words(refused)
        challenge = (
            f'Bearer authorization_uri="https://login.windows.net/{tokens.tenant_id}", '
            f'error="invalid_token", error_description="{description}"'
        )
        headers = {"www-authenticate": challenge, "x-ms-failure-cause": "gateway"}
        raise ArmError(401, code, message, headers=headers) from refused


def _words(refused: TokenRefused) -> tuple[str, str, str]:
    match refused.code:
        case Refusal.MISSING:
            return (
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
                "The authentication failed because of missing 'Authorization' header.",
            )
        case Refusal.EXPIRED:
            now = f"{datetime.now(UTC):%-m/%-d/%Y %-I:%M:%S %p}"
            return (
                "ExpiredAuthenticationToken",
                f"The access token expiry UTC time is earlier than current UTC time '{now}'.",
                "The access token has expired.",
            )
        case Refusal.AUDIENCE:
            return (
                "InvalidAuthenticationTokenAudience",
                f"{_WRONG_AUDIENCE} {_ALLOWED}.",
                "The access token is from the wrong audience or resource.",
            )
        case Refusal.SIGNATURE:
            return (
                "InvalidAuthenticationToken",
                "The access token is invalid.",
                "The access token is invalid.",
            )
