"""Speed benchmarks: scoring, detection, the complete pipeline, and scaling; see docs/benchmarks.md."""
