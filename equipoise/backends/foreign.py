"""Options of one engine that another must not see."""

from __future__ import annotations

from typing import Final

from equipoise.backends.lightrag_wire import QUERY_FIELDS
from equipoise.backends.perplexity_chat import SEARCH_FIELDS
from equipoise.backends.perplexity_request import SEARCH_OPTIONS

# OpenAI's chat API searches the web as well, under this name.
_SHARED: Final = frozenset({"web_search_options", "user_location", "stream"})

UNKNOWN_TO_OPENAI: Final = (QUERY_FIELDS | SEARCH_FIELDS | SEARCH_OPTIONS) - _SHARED
"""What a client may say to a graph or to a web search, and what OpenAI refuses with a 400."""
