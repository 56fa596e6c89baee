"""How well routing learns, on questions whose answers by several models were scored: `make bench-routing DATA=DIR`."""
