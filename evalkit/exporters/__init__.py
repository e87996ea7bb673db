"""One file a routing target."""
