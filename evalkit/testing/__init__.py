"""Contract tests and builders for plugin authors."""
