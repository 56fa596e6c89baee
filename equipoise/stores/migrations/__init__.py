"""Numbered SQL files, applied once each and in order; a released file is never edited."""
