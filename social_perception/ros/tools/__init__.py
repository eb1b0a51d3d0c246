"""Programs around the nodes: demo, robot check, benchmarks."""
