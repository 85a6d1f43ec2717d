"""Take secrets out of what services say, before it reaches a log, a row or a report.

Nothing that Azure answers should hold one; but a message may quote the request, and a request has a
token, and its URL may be signed.
"""

import re

_GONE = "[redacted]"
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]*(?:\.[\w-]*)?")
_SCHEME = re.compile(
    r"\b(Bearer|Basic|SharedKey|SharedKeyLite)[ :]+[\w.~+/:=-]{16,}", re.IGNORECASE
)
# The whole query: signatures have many names (``sig``, ``code``, ``t``, ``c``, ``s``, ``h``).
_QUERY = re.compile(r"((?:\bhttps?://|(?<![\w/])/)[^\s?\"'<>]+)\?[^\s\"'<>),;]+")
_NAMED = re.compile(
    r"\b(AccountKey|SharedAccessKey|SharedAccessSignature|sig|password|secureValue|client_secret"
    r"|access_token|refresh_token|storageAccountKey|workspaceKey|x-functions-key|x-identity-header"
    r"|aeg-sas-key)(\\?[\"']?\s*[=:]\s*\\?[\"']?)[^\s\"',;&\\]+",
    re.IGNORECASE,
)
_KEY = re.compile(r"(?<![\w+/-])[\w+/-]{40,}={1,2}(?![\w=])")
"""In base64, and long: account keys are, and function keys."""


def redacted(text: str) -> str:
    """Return ``text`` without tokens, keys, passwords, and the queries of URLs."""
    for pattern, instead in (
        (_JWT, _GONE),
        (_SCHEME, rf"\1 {_GONE}"),
        (_QUERY, rf"\1?{_GONE}"),
        (_NAMED, rf"\1\2{_GONE}"),
        (_KEY, _GONE),
    ):
        text = pattern.sub(instead, text)
    return text
