"""The real ``azure-functions-runtime``, driven in process."""

import importlib
import json
import secrets
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from sandbox.functions_host import loading
from sandbox.functions_host.functions import Function
from sandbox.functions_host.messages import PROTOS, ParameterBinding, StatusResult, TypedData


class IndexingError(Exception):
    """The runtime could not index the app. The message is the runtime's, with its traceback."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one invocation."""

    invocation_id: str
    error: str | None
    """The exception that the function raised, with its traceback; ``None`` after a success."""
    returned: TypedData | None = None
    outputs: Mapping[str, TypedData] = field(default_factory=dict)
    """The values of the output bindings that were set, by name."""

    @property
    def succeeded(self) -> bool:
        """Whether the function returned."""
        return self.error is None


class Runtime:
    """One indexed app. There is one in a process: the runtime keeps its registry in a module."""

    def __init__(self, module: Any, functions: tuple[Function, ...]) -> None:  # noqa: ANN401 - untyped
        self._module = module
        self._running: dict[str, str] = {}
        self.functions = functions

    @classmethod
    async def start(cls, app_dir: Path) -> Self:
        """Index the app in a folder as the platform's worker does.

        Raises:
            IndexingError: The app cannot be imported or declares nothing sensible, or nothing.
            ForeignModuleError: It was loaded from somewhere else.
        """
        loading.enter(app_dir)
        runtime = importlib.import_module("azure_functions_runtime")
        importlib.import_module("azure.functions")
        before = set(sys.modules)
        runtime.start_threadpool_executor()
        init = SimpleNamespace(capabilities={}, function_app_directory=str(app_dir))
        answer = await runtime.worker_init_request(
            SimpleNamespace(
                request=SimpleNamespace(worker_init_request=init),
                properties={"host": "127.0.0.1", "protos": PROTOS},
            )
        )
        if answer.result.status != StatusResult.Success:
            failure = answer.result.exception
            raise IndexingError(f"{failure.message}\n{failure.stack_trace}")
        loading.check(app_dir, before)
        metadata = await runtime.functions_metadata_request(SimpleNamespace())
        functions = tuple(
            Function(
                found.name, found.function_id, tuple(json.loads(raw) for raw in found.raw_bindings)
            )
            # None, and no word of it, when there is no function_app.py at all.
            for found in metadata.function_metadata_results or ()
        )
        if not functions:
            raise IndexingError(f"no functions found: is there a function_app.py in {app_dir}?")
        return cls(runtime, functions)

    def function_here(self) -> str | None:
        """Return the function whose code runs in the calling thread; ``None`` outside of any.

        Coroutines are not recognised: the runtime marks the threads of plain functions only.
        """
        executor = importlib.import_module("azure_functions_runtime.utils.executor")
        return self._running.get(executor.invocation_id_cv.get())

    async def invoke(
        self,
        function: Function,
        value: TypedData,
        metadata: Mapping[str, TypedData],
    ) -> Outcome:
        """Run a function with a value for its trigger."""
        invocation_id = str(uuid.uuid4())
        trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        request = SimpleNamespace(
            invocation_id=invocation_id,
            function_id=function.id,
            input_data=[ParameterBinding(name=function.trigger["name"], data=value)],
            trigger_metadata=metadata,
            trace_context=SimpleNamespace(trace_parent=trace, trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        self._running[invocation_id] = function.name
        try:
            answer = await self._module.invocation_request(
                SimpleNamespace(request=SimpleNamespace(invocation_request=request))
            )
        finally:
            del self._running[invocation_id]
        if answer.result.status != StatusResult.Success:
            failure = answer.result.exception
            return Outcome(invocation_id, f"{failure.message}\n{failure.stack_trace}")
        return Outcome(
            invocation_id,
            None,
            answer.return_value,
            {output.name: output.data for output in answer.output_data},
        )
