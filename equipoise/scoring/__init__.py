"""How good an answer was, found out beside the request and never in its way."""
