"""SQLAlchemy Core behind the ports Ledger and RunReader."""
