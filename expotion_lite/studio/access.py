"""Access to the studio's page: for whoever has its whole address, from no page of another site, a few times at once.

Voila loads these classes by name, see `server.settings`.
"""

from __future__ import annotations

import html
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RequestHandler

PAGES = 4  # that may be open at once; each has a kernel, and a kernel a model


class Access(IdentityProvider):
    """Lets in requests that know the token and do not come from a page of another site."""

    def get_user(self, handler: RequestHandler) -> Any:
        """Return the user, or None for somebody without the token and for a page of another site."""
        return None if is_foreign(handler.request) else super().get_user(handler)

    def get_handlers(self) -> list[tuple[str, object]]:
        """Return what answers to a request without the token."""
        return [(r"/login", Explanation)]

    def generate_anonymous_user(self, handler: RequestHandler) -> User:
        """Return the name of whoever has the token; Jupyter would draw one from its list."""
        return User(username="player")


class Explanation(JupyterHandler):
    """The page for somebody who opened the address without its token."""

    @allow_unauthenticated
    def get(self) -> None:
        """Say what is missing."""
        address = html.escape(f"{self.request.protocol}://{self.request.host}/?token=")
        self.finish(
            "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            "<title>The studio</title><style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;"
            "max-width:34em;margin:12vh auto;padding:0 1em}</style><h1>This address is not complete</h1>"
            f"<p>The studio opens only at its whole address, which begins with <code>{address}</code> and ends in a "
            "secret. Copy it from the terminal in which <code>expotion-lite studio</code> was started.</p>"
        )


class Kernels(AsyncMappingKernelManager):
    """Starts a kernel for each page, up to `PAGES`."""

    starting = 0

    async def start_kernel(self, **options: Any) -> str:  # type: ignore[override]
        """Start a kernel and return its id.

        Raises:
            HTTPError: enough pages are open.
        """
        if len(self) + self.starting >= PAGES:
            raise HTTPError(503, f"The studio is open in {PAGES} pages already; close one of them.")
        self.starting += 1
        try:
            return await super().start_kernel(**options)
        finally:
            self.starting -= 1


def is_foreign(request: HTTPServerRequest) -> bool:
    """Return whether a page of another site made a request. To follow a link from there is allowed.

    Browsers tell by two headers: `Origin`, and `Sec-Fetch-Site` where a request has no origin.
    """
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
        return True
    link = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document"
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not link
