"""Training, evaluation and benchmarks; needs the extra ``[train]``."""
