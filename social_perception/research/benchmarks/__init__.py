"""Measures speed: scoring, detection, the whole pipeline, and how cost grows; see docs/benchmarks.md."""
