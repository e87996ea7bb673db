"""The nouns: frozen values without I/O. Import them from their own module, never from here."""
