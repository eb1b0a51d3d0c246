"""Sinks: CSV, Parquet, ELAN, MCAP, video and JSON lines, with one protocol and one registry."""
