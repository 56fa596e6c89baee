"""The dialects spoken to clients: each reads a body into a question and writes answers and stream items, without IO."""
