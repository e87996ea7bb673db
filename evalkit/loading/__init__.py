"""Files → domain objects. Every error names file, line, pointer, value and the next step; all are reported at once."""
