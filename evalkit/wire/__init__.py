"""The OpenAI-compatible protocol as pure functions: bytes in, values out."""
