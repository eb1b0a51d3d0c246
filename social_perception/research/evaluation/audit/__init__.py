"""How well the faces of different groups are found and scored, and what changes of a picture do."""
