"""Who may see readings over HTTP, and the headers that every answer carries.

The token opens entry bundles, as a bearer token or as the password of basic authentication, which a
browser asks for by itself. With `readings_login` it guards the page, devices and proofs as well.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Access", "Headers"]

_POLICY: Final = {
    # nothing from elsewhere, no inline script or style, and nobody puts the page into a frame
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_CHALLENGE: Final = {"www-authenticate": 'Bearer, Basic realm="tallystick", charset="UTF-8"'}


class Access:
    """The token and what it guards; without a token, entry bundles are refused."""

    def __init__(self, token: str | None = None, *, readings_login: bool = False) -> None:
        self._token = token
        self._readings_login = readings_login

    def check(self, request: Request) -> None:
        """`HTTPException` unless the request carries the token."""
        if self._token is None:
            raise HTTPException(403, "entry bundles are not served: no --token-file")
        # in constant time: an answer must not tell how much of a guess was right
        if not hmac.compare_digest(_given(request).encode(), self._token.encode()):
            raise HTTPException(401, "a bearer token is needed", _CHALLENGE)

    def check_readings(self, request: Request) -> None:
        """The same for what shows readings, where the operator wants a login for them."""
        if self._readings_login:
            self.check(request)

    def kept(self, answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        """`answer`, for those who may see readings."""

        def checked(request: Request) -> Response:
            self.check_readings(request)
            return answer(request)

        return checked


class Headers:
    """Middleware: the policy on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to what the application says."""

        async def said(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _POLICY.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, said)


def _given(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return ""
