"""Malformed input for everything that reads a file or a value: ``python -m benchmarks.trust.fuzz`` (see ``docs/trust.md``)."""
