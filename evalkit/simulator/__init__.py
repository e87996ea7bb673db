"""The embedded gateway: a real HTTP server with personas. Nothing it says is evidence."""
