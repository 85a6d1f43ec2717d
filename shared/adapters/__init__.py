"""The outside, one package per remote service. Imported by ``shared.wiring`` only, when needed."""
