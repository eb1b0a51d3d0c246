"""Aggregates the smiles of the people over the group and over time."""
