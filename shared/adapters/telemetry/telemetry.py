"""Spans and metrics, through OpenTelemetry's API alone: without an SDK all of it does nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus

from opentelemetry import metrics, trace
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AnyValue

from shared.adapters.telemetry.ids import MESSAGE, ids_of, name_of
from shared.domain.rows import Rotation
from shared.domain.steps import Step
from shared.domain.tool import NAME, VERSION
from shared.domain.verdicts import Verdict
from shared.domain.work import Work

_CARRIER = TraceContextTextMapPropagator()
_TRACEPARENT = "traceparent"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_PROOF_TAKES = [5, 15, 30, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR, 12 * _HOUR, _DAY]
_EVENTS_TAKE = [1, 2, 5, 10, 30, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, _DAY]
_PROVEN = {Verdict.VERIFIED, Verdict.LATE}


class Telemetry:
    """What is told to those who run Keyturn. Nothing that Keyturn decides depends on it.

    Attributes carry ids, names of kinds, verdicts and numbers: never what a service has said.
    """

    def __init__(
        self,
        tracers: trace.TracerProvider | None = None,
        meters: metrics.MeterProvider | None = None,
    ) -> None:
        """Say to whom; by default to whatever SDK somebody gives this process, if one does."""
        self._tracers = tracers
        self._tracer = trace.get_tracer(NAME, VERSION, tracers)
        meter = metrics.get_meter(NAME, VERSION, meters)
        self._rotations = meter.create_counter(
            "keyturn.rotations", "{rotation}", "rotations that have ended"
        )
        self._consumers = meter.create_counter(
            "keyturn.consumers", "{consumer}", "consumers of rotations that have ended"
        )
        self._proofs = meter.create_histogram(
            "keyturn.time_to_proof",
            "s",
            "from the accepted write, or without one from when it was found, to the proof",
            explicit_bucket_boundaries_advisory=_PROOF_TAKES,
        )
        self._requests = meter.create_counter(
            "keyturn.arm.requests", "{request}", "answers of Azure Resource Manager"
        )
        self._throttles = meter.create_counter(
            "keyturn.throttles", "{request}", "those of them that were 429"
        )
        self._lag = meter.create_histogram(
            "keyturn.event.lag",
            "s",
            "from a version's creation to the rotation that its event has opened",
            explicit_bucket_boundaries_advisory=_EVENTS_TAKE,
        )

    @property
    def is_on(self) -> bool:
        """Whether there is an SDK to take spans."""
        return not isinstance(self._tracers or trace.get_tracer_provider(), ProxyTracerProvider)

    @contextmanager
    def step(self, step: Step, *, message: str, rotation: Rotation | None) -> Iterator[None]:
        """Take what runs inside for one span, a child of the span that opened the rotation.

        Args:
            step: What runs.
            message: Id of the queue's message.
            rotation: The step's own; ``None``: it has none, and is a trace of its own.
        """
        parent = {_TRACEPARENT: rotation.traceparent} if rotation else {}
        with self._tracer.start_as_current_span(
            name_of(step),
            # Without one a root, not below what the Functions worker may have made current.
            context=_CARRIER.extract(parent),
            kind=SpanKind.CONSUMER,
            attributes={**ids_of(step), MESSAGE: message, "keyturn.attempt": step.attempt},
            record_exception=False,  # its text may hold what a service has said
            set_status_on_exception=False,
        ) as span:
            if rotation:
                span.set_attribute("keyturn.key", rotation.key)
            try:
                yield
            except BaseException as error:
                _fail(span, error)
                raise

    def traceparent(self) -> str:
        """Return the W3C trace context of the running step; empty: there is none."""
        carrier: dict[str, str] = {}
        _CARRIER.inject(carrier)
        return carrier.get(_TRACEPARENT, "")

    def opened(self, rotation: Rotation) -> None:
        """Tell of a rotation that has been opened."""
        trace.get_current_span().set_attribute("keyturn.rotation", rotation.id)
        if rotation.cause.trigger == "event" and not rotation.recheck:
            self._lag.record(_seconds(rotation.opened_at - rotation.target_created))

    def ended(self, rotation: Rotation) -> None:
        """Tell of a rotation that has ended."""
        self._rotations.add(1, {"keyturn.outcome": rotation.outcome or ""})
        for verdict, count in rotation.counts.items():
            self._consumers.add(count, {"keyturn.verdict": verdict})

    def worked(self, before: Work, after: Work) -> None:
        """Tell how a step has changed the work on a resource."""
        span = trace.get_current_span()
        span.set_attribute("keyturn.resource", after.resource)
        span.set_attribute("keyturn.kind", after.kind)
        verdict = next((c.verdict for c in after.consumers if c.verdict), None)
        if verdict is None or after.closed_at is None or after.closed_at == before.closed_at:
            return
        span.set_attribute("keyturn.verdict", verdict)
        if verdict in _PROVEN:
            took = after.closed_at - (after.accepted_at or after.found_at)
            told = {"keyturn.kind": after.kind, "keyturn.verdict": verdict.value}
            self._proofs.record(_seconds(took), told)

    def answered(self, method: str, provider: str, status: int) -> None:
        """Tell of an answer of Azure Resource Manager.

        Args:
            method: Of the request.
            provider: Namespace of the resource provider, in lower case; empty: none was named.
            status: Of the answer.
        """
        told = {"keyturn.provider": provider}
        how: dict[str, AnyValue] = {
            "http.request.method": method,
            "http.response.status_code": status,
        }
        self._requests.add(1, how | told)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self._throttles.add(1, told)


def _seconds(took: timedelta) -> float:
    """Return a length of time; two clocks may make it less than none."""
    return max(took.total_seconds(), 0.0)


def _fail(span: Span, error: BaseException) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", type(error).__name__)
