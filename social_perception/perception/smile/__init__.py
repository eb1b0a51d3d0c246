"""The smile networks and the streaming scorer, from face crops to smiles."""
