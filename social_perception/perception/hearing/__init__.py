"""Estimates from sound: its level."""
