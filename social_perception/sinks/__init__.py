"""Where results go: CSV, Parquet, ELAN, MCAP and video files."""
