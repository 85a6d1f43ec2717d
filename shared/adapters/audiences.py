"""Tokens for one service, whatever a server asks for."""

from dataclasses import dataclass
from typing import Any

from azure.core.credentials import AccessToken, TokenCredential

from shared.domain.errors import NotAllowedError

STORAGE = "https://storage.azure.com"
"""The audience of blobs, queues and tables, in every cloud."""


@dataclass(frozen=True, slots=True)
class ForAudience:
    """Our identity, as one service gets to know it.

    The SDKs of Key Vault and of storage let the service's challenge (401, ``WWW-Authenticate``)
    say for whom the token is to be, Key Vault's for anything that its host's name ends with.

    Attributes:
        audience: The one for which there are tokens: ``https://vault.azure.net``.
    """

    credential: TokenCredential
    audience: str

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **options: Any,  # noqa: ANN401 - the SDK's interface
    ) -> AccessToken:
        """See ``TokenCredential.get_token``.

        Raises:
            NotAllowedError: A scope is of another audience.
        """
        for scope in scopes:
            if scope.removesuffix("/.default").rstrip("/") != self.audience:
                raise NotAllowedError(
                    f"a token for {scope!r:.100} was asked for, by a service whose tokens are for"
                    f" {self.audience}"
                )
        return self.credential.get_token(
            *scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae, **options
        )
