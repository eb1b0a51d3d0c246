"""Social-MAE: faces and voices learned together without labels (Bohy et al., FG 2024)."""
