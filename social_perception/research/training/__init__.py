"""Training of the smile networks: readers, augmentation, sequences, and the training itself."""
