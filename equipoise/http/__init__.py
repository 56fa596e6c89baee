"""HTTP/1.1: a server and a pooled client. Knows nothing of what it carries."""

from __future__ import annotations

from equipoise.http.asgi import asgi_application
from equipoise.http.dial import client_context
from equipoise.http.errors import BodyTooLarge, HTTPError
from equipoise.http.messages import Abort, Handler, Headers, Request, Response, ServerLimits, Sink, TLSFiles, pour
from equipoise.http.pool import Pool, PoolLimits, Timeouts
from equipoise.http.response import ClientResponse
from equipoise.http.server import Server

__all__ = [
    "Abort",
    "BodyTooLarge",
    "ClientResponse",
    "HTTPError",
    "Handler",
    "Headers",
    "Pool",
    "PoolLimits",
    "Request",
    "Response",
    "Server",
    "ServerLimits",
    "Sink",
    "TLSFiles",
    "Timeouts",
    "asgi_application",
    "client_context",
    "pour",
]
