"""SROS2: policies, keystores and enclaves."""
