"""Who is asking: JWTs with a pinned algorithm, from a shared secret or from published keys.

HS256 tokens are checked with the secret and nothing else, RS256 and ES256 tokens with a published key of
exactly that kind and nothing else: a public key can never be taken for a shared secret.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import msgspec

from core.config import Settings
from core.errors import SettingsError
from core.ids import UserId
from core.redact import Secret
from facade.errors import ApiError
from schema.ledger import PLATFORM_USER

MAX_TOKEN_CHARS: Final = 8_192
MAX_USER_ID_CHARS: Final = 255
MAX_KEYS_BYTES: Final = 262_144
KEYS_TIMEOUT_S: Final = 5.0
KEYS_FRESH_S: Final = 600.0
KEYS_RETRY_S: Final = 30.0
"""An unknown key id asks for the keys again, at most this often."""
KEYS_STALE_S: Final = 86_400.0
"""For how long keys are used after their publisher could last be reached."""
_ALGORITHM_OF: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Whose request it is."""

    user_id: UserId
    admin: bool


def unauthorized(sentence: str) -> ApiError:
    return ApiError(401, sentence, headers={"WWW-Authenticate": "Bearer"})


class PublishedKeys:
    """Keys of a JWKS document by (algorithm, key id)."""

    def __init__(self, document: bytes) -> None:
        """Raises ValueError when this is no JWKS document. Keys of other kinds are left out."""
        try:
            listed = msgspec.json.decode(document, type=dict[str, Any])["keys"]
        except (msgspec.MsgspecError, KeyError) as error:
            raise ValueError("it is no JWKS document") from error
        self._keys: dict[tuple[str, str | None], Any] = {}
        for each in listed if isinstance(listed, list) else []:
            if not isinstance(each, dict) or each.get("use", "sig") != "sig":
                continue
            algorithm = _ALGORITHM_OF.get((str(each.get("kty")), each.get("crv")))
            if algorithm is None or each.get("alg", algorithm) != algorithm:
                continue
            try:
                key = jwt.PyJWK({**each, "alg": algorithm}).key
            except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
                raise ValueError("it holds a key that cannot be read") from error
            self._keys[algorithm, each.get("kid")] = key

    def find(self, algorithm: str, key_id: str | None) -> Any | None:
        """The key for a token's header; a token without key id takes the only key of its kind."""
        if key_id is not None:
            return self._keys.get((algorithm, key_id))
        fitting = [key for (kind, _), key in self._keys.items() if kind == algorithm]
        return fitting[0] if len(fitting) == 1 else None


class KeySource:
    """Published keys from a file, read once, or from a URL, kept fresh."""

    def __init__(
        self,
        *,
        url: str | None,
        file: str | None,
        monotonic: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises SettingsError when the file cannot be used."""
        self._url = url
        self._monotonic = monotonic
        self._transport = transport
        self._keys = _keys_of_file(file) if file is not None else None
        self._fetched_at_s = float("-inf")
        self._tried_at_s = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, algorithm: str, key_id: str | None) -> Any | None:
        """None when no such key is published; ApiError 503 when nobody can say."""
        if self._url is not None and self._age_s() > KEYS_FRESH_S:
            await self._refresh()
        key = self._keys.find(algorithm, key_id) if self._keys else None
        if key is None and self._url is not None:
            await self._refresh()
            key = self._keys.find(algorithm, key_id) if self._keys else None
        if self._keys is None:
            raise ApiError(
                503, "The keys of tokens cannot be fetched right now.", code="AUTH_KEYS_UNAVAILABLE"
            )
        return key

    def _age_s(self) -> float:
        return self._monotonic() - self._fetched_at_s

    async def _refresh(self) -> None:
        async with self._fetching:
            if self._url is None or self._monotonic() - self._tried_at_s < KEYS_RETRY_S:
                return
            self._tried_at_s = self._monotonic()
            try:
                self._keys = PublishedKeys(await self._fetch(self._url))
                self._fetched_at_s = self._monotonic()
            except (httpx.HTTPError, ValueError):
                if self._age_s() > KEYS_STALE_S:
                    self._keys = None

    async def _fetch(self, url: str) -> bytes:
        timeout = httpx.Timeout(KEYS_TIMEOUT_S)
        async with (
            httpx.AsyncClient(timeout=timeout, transport=self._transport, follow_redirects=False) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_KEYS_BYTES:
                    raise ValueError("the JWKS document is too large")
            return body


class TokenVerifier:
    """Bearer tokens to principals."""

    def __init__(self, settings: Settings, *, secret: Secret | None, keys: KeySource | None) -> None:
        """`secret` is the one in force: the setting's, or the generated one of a demo."""
        self._secret = secret
        self._keys = keys
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer

    async def principal(self, token: str) -> Principal:
        """Whose token it is; ApiError 401 for any token that does not hold in every respect."""
        algorithm, key = await self._key_for(token)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": self._audience is not None,
                    "verify_iss": self._issuer is not None,
                    # When it was issued decides nothing; another host's clock may be a little ahead.
                    "verify_iat": False,
                },
            )
        except jwt.ExpiredSignatureError as error:
            raise unauthorized("The token has expired.") from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise unauthorized("The token is not valid.") from error
        return Principal(user_id=_user_of(claims), admin=is_admin(claims))

    async def _key_for(self, token: str) -> tuple[str, Any]:
        if len(token) > MAX_TOKEN_CHARS:
            raise unauthorized("The token is too long.")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise unauthorized("The token is not valid.") from error
        algorithm, key_id = str(header.get("alg")), header.get("kid")
        if algorithm == "HS256" and self._secret is not None:
            return algorithm, self._secret.reveal()
        if algorithm in _ALGORITHM_OF.values() and self._keys is not None:
            key = await self._keys.find(algorithm, key_id if isinstance(key_id, str) else None)
            if key is not None:
                return algorithm, key
        raise unauthorized("The token is not valid.")


def verifier(settings: Settings, *, generated_secret: Secret | None = None) -> TokenVerifier:
    """The verifier these settings ask for. Raises SettingsError when there is nothing to check tokens with."""
    url, file = settings.jwks_url(), settings.jwt_jwks_file
    keys = KeySource(url=url, file=file) if url is not None or file is not None else None
    secret = settings.jwt_secret or generated_secret
    if secret is None and keys is None:
        raise SettingsError(
            "Set JWT_SECRET, JWT_JWKS_URL or JWT_JWKS_FILE: there is nothing to check tokens with."
        )
    return TokenVerifier(settings, secret=secret, keys=keys)


def is_admin(claims: Mapping[str, Any]) -> bool:
    nested = claims.get("app_metadata")
    return claims.get("role") == "admin" or (isinstance(nested, dict) and nested.get("role") == "admin")


def _user_of(claims: Mapping[str, Any]) -> UserId:
    user_id = claims.get("sub")
    if not isinstance(user_id, str) or not 1 <= len(user_id) <= MAX_USER_ID_CHARS:
        raise unauthorized("The token names no user.")
    try:
        user_id.encode()
    except UnicodeEncodeError as error:
        raise unauthorized("The token names no user.") from error
    if "\0" in user_id or user_id == PLATFORM_USER:  # the installation's own events are nobody's
        raise unauthorized("The token names no user.")
    return UserId(user_id)


def _keys_of_file(file: str) -> PublishedKeys:
    try:
        return PublishedKeys(Path(file).read_bytes()[: MAX_KEYS_BYTES + 1])
    except OSError as error:
        raise SettingsError(f"JWT_JWKS_FILE {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SettingsError(f"JWT_JWKS_FILE {file} cannot be used: {error}.") from error
