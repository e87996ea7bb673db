"""SQLAlchemy Core behind the ports Ledger and RunReader, and dictionaries behind the same where nothing is kept."""
