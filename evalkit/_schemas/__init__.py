"""What stands behind `evalkit.schemas`; nobody else imports it."""
