"""Plain stand-ins for the protobuf messages that the runtime speaks.

The runtime never imports them: it takes the module that holds them with its first request, so
that neither gRPC nor protobuf is needed. Names and members are protobuf's, hence the spelling.
Source: ``azure_functions_runtime/handle_event.py`` 1.3.0 and ``FunctionRpc.proto``.
"""

import json
from types import SimpleNamespace
from typing import Any


class Message:
    """A message: its fields are its attributes."""

    def __init__(self, **fields: Any) -> None:  # noqa: ANN401 - the runtime's own values
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.__dict__})"


class TypedData(Message):
    """One value; only the field of its type is set: ``string``, ``bytes``, ``json``, ``http``."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's name
        """Return the name of the field that is set."""
        return next(iter(self.__dict__), None)

    @property
    def content(self) -> Any:  # noqa: ANN401 - of any type
        """The value of the field that is set."""
        return next(iter(self.__dict__.values()), None)


class ParameterBinding(Message):
    """A value for, or from, one parameter of a function: ``name`` and ``data``."""

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's name
        """Return the way the value is sent: in the message itself."""
        return "data"


class BindingInfo(Message):
    """A binding of a function, with protobuf's numbers for its directions and data types."""

    out = 1
    inout = 2
    undefined = 0


# Only thus: `in` is a keyword of Python.
setattr(BindingInfo, "in", 0)


class StatusResult(Message):
    """How a request ended: ``status``, and ``exception`` after a failure."""

    Failure = 0
    Success = 1
    Cancelled = 2


class _SameSite:
    # `None` is protobuf's too, and set below.
    Lax = "lax"
    Strict = "strict"
    ExplicitNone = "none"


setattr(_SameSite, "None", None)


class RpcHttpCookie(Message):
    """A cookie of an HTTP answer."""

    SameSite = _SameSite


_PLAIN = (
    "FunctionLoadResponse",
    "FunctionMetadataResponse",
    "InvocationResponse",
    "NullableBool",
    "NullableDouble",
    "NullableString",
    "NullableTimestamp",
    "RpcException",
    "RpcFunctionMetadata",
    "RpcHttp",
    "RpcRetryOptions",
    "WorkerInitResponse",
    "WorkerMetadata",
)

PROTOS = SimpleNamespace(
    BindingInfo=BindingInfo,
    ParameterBinding=ParameterBinding,
    RpcHttpCookie=RpcHttpCookie,
    StatusResult=StatusResult,
    TypedData=TypedData,
    **{name: type(name, (Message,), {}) for name in _PLAIN},
)
"""What the runtime is given as its protobuf module."""


def json_value(value: object) -> TypedData:
    """Return ``value`` as the host sends a document or a piece of trigger metadata."""
    return TypedData(json=json.dumps(value))
