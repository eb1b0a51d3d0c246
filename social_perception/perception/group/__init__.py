"""Aggregates single smiles over the people and over time."""
