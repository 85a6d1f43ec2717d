"""A bench whose steps run as the queue trigger runs them; an SDK keeps what it is told."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sandbox.azure import LocalAzure
from shared.adapters.telemetry.ids import name_ids_on_log_lines
from shared.adapters.telemetry.steps import TracedSteps
from shared.adapters.telemetry.telemetry import Telemetry
from shared.domain.steps import Step
from shared.wiring.adapters import Adapters
from tests.usecases.bench import Bench, Died, Life, Mortal


class Heard:
    """What the SDK was told."""

    def __init__(self) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(tracers, self._meters)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Return the spans, or those of a name, in the order in which they ended."""
        return [span for span in self._spans.get_finished_spans() if name in ("", span.name)]

    def metrics(self) -> dict[str, Metric]:
        """Return the metrics by name."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def sums(self, name: str, *attributes: str) -> dict[Any, float]:
        """Return how often each value of attributes was counted (of a histogram: recorded)."""
        found: dict[Any, float] = {}
        metric = self.metrics().get(name)
        for point in metric.data.data_points if metric else ():
            told = tuple((point.attributes or {}).get(each) for each in attributes)
            count = point.value if isinstance(point, NumberDataPoint) else point.count
            key = told[0] if len(told) == 1 else told
            found[key] = found.get(key, 0) + count
        return found

    def close(self) -> None:
        """Stop listening."""
        self._meters.shutdown()


@dataclass
class TracedBench(Bench):
    """A bench as it is wired, except for the SDK."""

    heard: Heard = field(default_factory=Heard)
    messages: int = 0
    asked: list[str] = field(default_factory=list)
    """What the tracing itself has asked the rows for: methods."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.begin_process()

    def begin_process(self, telemetry: Telemetry | None = None) -> None:
        """Begin a new process: what the last one remembered is gone."""
        rows: Any = Mortal(self.rows, Life(before=self._note))
        self.traced = TracedSteps(self.steps.run, telemetry or self.heard.telemetry, rows)

    def _note(self, method: str, _arguments: tuple[Any, ...]) -> bool:
        self.asked.append(method)
        return False

    def run(self, step: Step) -> None:
        self.messages += 1
        self.traced.run(step, message=f"m{self.messages}")

    def run_and_die(self, step: Step) -> None:
        try:
            self.run(step)
        except Died:
            self.begin_process()
            return
        raise AssertionError(f"{step} did not die")


@contextmanager
def traced(azure: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> Iterator[TracedBench]:
    """Yield a bench at an Azure."""
    heard = Heard()
    monkeypatch.setattr(Adapters, "telemetry", heard.telemetry)
    for name, value in azure.environment().items():
        monkeypatch.setenv(name, value)
    yield TracedBench(azure, heard=heard)
    heard.close()


@contextmanager
def lines_of_ours() -> Iterator[list[str]]:
    """Collect what our own code logs, as the Functions worker hands it to the host."""
    found: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler, factory = Keeping(), logging.getLogRecordFactory()
    ours = [logging.getLogger(name) for name in ("shared", "functions")]
    levels = [logger.level for logger in ours]
    name_ids_on_log_lines()
    for logger in ours:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield found
    finally:
        logging.setLogRecordFactory(factory)
        for logger, level in zip(ours, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
