"""OpenTelemetry: one trace per rotation, metrics, and ids on log lines (ADR 21)."""
