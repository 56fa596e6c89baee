"""The demo: sandbox backends and the real gateway as processes, questions over HTTP, one backend killed and revived."""
