"""The smile networks and the streaming scorer: face crops in, smiles out."""
