"""Lists, page by page."""

import base64
from collections.abc import Sequence
from urllib.parse import urlencode

from sandbox.arm.call import ArmCall
from sandbox.arm.errors import ArmError
from sandbox.arm.resources import Body

_UNSERVED = ("$filter", "$include")


def page(call: ArmCall, shown: Sequence[Body], most: int) -> Body:
    """Return one page of a list.

    ``nextLink`` repeats the request with a ``$skipToken`` (OpenAPI: EncryptionScopes_List has
    ``$maxpagesize`` and ``nextLink``; what the link looks like is inference).

    Args:
        call: The request.
        shown: The whole list.
        most: How many a page has, unless the request asks for fewer.

    Raises:
        ArmError: 400: a parameter that the sandbox does not know, or not like this.
    """
    start, size = _start(call), min(_size(call, most), most)
    left = len(shown) - start - size
    more = {"nextLink": _next(call, start + size)} if left > 0 else {}
    return {"value": list(shown[start : start + size]), **more}


def _size(call: ArmCall, most: int) -> int:
    text = call.query.get("$maxpagesize", str(most))
    for name in _UNSERVED:
        if name in call.query:
            raise ArmError(400, "UnsupportedInSandbox", f"The sandbox has no '{name}' in lists.")
    if not text.isdecimal() or int(text) == 0:
        raise _invalid("$maxpagesize", text)
    return int(text)


def _start(call: ArmCall) -> int:
    token = call.query.get("$skipToken")
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise _invalid("$skipToken", token) from error


def _next(call: ArmCall, start: int) -> str:
    token = base64.urlsafe_b64encode(str(start).encode()).decode()
    query = urlencode({**call.query, "$skipToken": token}, safe="$")
    return f"https://management.azure.com{call.path}?{query}"


def _invalid(name: str, value: str) -> ArmError:
    message = f"The value '{value}' of the query parameter '{name}' is invalid."
    return ArmError(400, "InvalidQueryParameterValue", message)
