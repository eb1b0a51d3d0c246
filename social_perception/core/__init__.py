"""The vocabulary: value types, errors and configuration. Imports nothing but numpy."""
