"""The use cases, as functions; the composition root. Import them from `evalkit`, or from their own module here."""
