"""What people see and keep: overlay, tables, ELAN files, plots, annotated video, terminal table."""
