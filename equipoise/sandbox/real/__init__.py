"""Real software on this machine: a LightRAG server, a small language model, embeddings; and the demo on top of them."""
