"""What the pytest plugin does once it is asked; imported late, by sessions that use it."""
