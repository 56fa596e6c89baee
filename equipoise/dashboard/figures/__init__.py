"""Pictures as SVG, drawn on the server by pure functions of numbers."""
