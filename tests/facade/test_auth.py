"""Tokens: what is let in, and every way of forging one that is not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from core.errors import SettingsError
from core.redact import Secret
from facade.auth import (
    KEYS_FRESH_S,
    KEYS_RETRY_S,
    KEYS_STALE_S,
    KeySource,
    Principal,
    TokenVerifier,
    verifier,
)
from facade.errors import ApiError
from tests.facade.world import SECRET, make_settings, token_of

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def jwk_of(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    algorithm: Any = (
        jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    )
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **more}


JWKS = {"keys": [jwk_of(RSA_KEY, "r1"), jwk_of(EC_KEY, "e1")]}
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "alice", "exp": time.time() + 60, **more}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in claims().items() if key != name}


def signed(payload: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(payload, key, algorithm=algorithm, headers=header or None)


def forged(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(part).encode() for part in (header, payload)] + [signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def hs256_with_public_key() -> str:
    """The classic confusion: our public key, taken for a shared secret."""
    return hmac_signed({"alg": "HS256", "typ": "JWT"}, PUBLIC_PEM)


def hmac_signed(header: dict[str, Any], key: bytes) -> str:
    """By hand: libraries refuse to sign with such keys."""
    body = forged(header, claims()).rstrip(".")
    mac = hmac.new(key, body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def tampered(token: str) -> str:
    header, _, signature = token.split(".")
    body = (
        base64.urlsafe_b64encode(json.dumps(claims(sub="root", role="admin")).encode()).rstrip(b"=").decode()
    )
    return f"{header}.{body}.{signature}"


@pytest.fixture
def keys_file(tmp_path: Path) -> str:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(JWKS))
    return str(file)


def ask(subject: TokenVerifier, token: str) -> Principal:
    return asyncio.run(subject.principal(token))


ATTACKS: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "not a token": lambda: "abc",
    "two parts": lambda: "a.b",
    "no algorithm": lambda: forged({"alg": "none"}, claims()),
    "no algorithm, other case": lambda: forged({"alg": "NoNe"}, claims()),
    "missing algorithm": lambda: forged({"typ": "JWT"}, claims()),
    "algorithm not a text": lambda: forged({"alg": ["HS256"]}, claims()),
    "empty signature": lambda: forged({"alg": "HS256"}, claims()),
    "other secret": lambda: signed(claims(), "another-secret-of-at-least-32-bytes!"),
    "same family, other algorithm": lambda: signed(claims(), SECRET * 2, "HS512"),
    "claims changed after signing": lambda: tampered(token_of("alice")),
    "public key as secret": hs256_with_public_key,
    "other RSA key, our key id": lambda: signed(claims(), OTHER_RSA_KEY, "RS256", kid="r1"),
    "unknown key id": lambda: signed(claims(), RSA_KEY, "RS256", kid="r2"),
    "key id of the other kind": lambda: signed(claims(), RSA_KEY, "RS256", kid="e1"),
    "RSA with another digest": lambda: signed(claims(), RSA_KEY, "RS512", kid="r1"),
    "key id not a text": lambda: forged({"alg": "RS256", "kid": {"a": 1}}, claims()),
    "key brought along": lambda: signed(claims(), OTHER_RSA_KEY, "RS256", jwk=jwk_of(OTHER_RSA_KEY, "x")),
    "key id that is an empty file": lambda: hmac_signed({"alg": "HS256", "kid": "../../../../dev/null"}, b""),
    "key id that is a query": lambda: signed(claims(), "x", "HS256", kid="' UNION SELECT 'x"),
    "key id that is a path, RSA": lambda: signed(claims(), OTHER_RSA_KEY, "RS256", kid="/dev/stdin"),
    "shared secret under a published key's id": lambda: signed(claims(), "r1" * 16, "HS256", kid="r1"),
    "keys to be fetched elsewhere": lambda: signed(
        claims(), OTHER_RSA_KEY, "RS256", jku="https://evil.example/jwks"
    ),
    "certificate to be fetched elsewhere": lambda: signed(
        claims(), OTHER_RSA_KEY, "RS256", x5u="https://evil.example/c"
    ),
    "certificate brought along": lambda: signed(claims(), OTHER_RSA_KEY, "RS256", x5c=["MIIB"], kid="r1"),
    "elliptic key brought along": lambda: signed(
        claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", kid="e1"
    ),
    "payload not encoded": lambda: signed(claims(), crit=["b64"], b64=False) + "x",
    "expiry as a text": lambda: signed(claims(exp=str(int(time.time()) + 60))) + "x",
    "no signature but its dot": lambda: signed(claims()).rpartition(".")[0] + ".",
    "signature of another token": lambda: (
        signed(claims()).rpartition(".")[0] + "." + signed(claims(sub="bob")).rpartition(".")[2]
    ),
    "four parts": lambda: signed(claims()) + ".x",
    "encrypted form": lambda: "a.b.c.d.e",
    "unknown critical header": lambda: signed(claims(), crit=["x"], x="y"),
    "expired": lambda: signed(claims(exp=time.time() - 1)),
    "expired long ago": lambda: signed(claims(exp=0)),
    "no expiry": lambda: signed(without("exp")),
    "expiry is no number": lambda: signed(claims(exp="soon")),
    "expiry is infinite": lambda: signed(claims(exp=float("inf"))),
    "not yet valid": lambda: signed(claims(nbf=time.time() + 60)),
    "no user": lambda: signed(without("sub")),
    "user is empty": lambda: signed(claims(sub="")),
    "user is the platform": lambda: signed(claims(sub="platform")),
    "user is a number": lambda: forged_sub(7),
    "user is too long": lambda: signed(claims(sub="u" * 256)),
    "user with NUL": lambda: signed(claims(sub="a\0b")),
    "user with half a character": lambda: signed(claims(sub="\ud800")),
    "payload is a list": lambda: jwt.api_jws.encode(b"[]", SECRET, algorithm="HS256"),
    "payload is not JSON": lambda: jwt.api_jws.encode(b"\xff", SECRET, algorithm="HS256"),
    "too long": lambda: signed(claims(note="x" * 9_000)),
    "deeply nested header": lambda: forged({"alg": "HS256"}, {}) and deep(),
}


def forged_sub(value: Any) -> str:
    return jwt.api_jws.encode(json.dumps(claims(sub=value)).encode(), SECRET, algorithm="HS256")


def deep() -> str:
    nested = b'{"alg":' + b"[" * 2_000 + b"]" * 2_000 + b"}"
    return base64.urlsafe_b64encode(nested).decode().rstrip("=") + ".e30.e30"


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_forged_or_stale_token_is_401(attack: Callable[[], str], keys_file: str) -> None:
    subject = verifier(make_settings(JWT_JWKS_FILE=keys_file))
    with pytest.raises(ApiError) as refused:
        ask(subject, attack())
    assert refused.value.status == 401
    assert refused.value.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "token",
    [
        lambda: signed(claims()),
        lambda: signed(claims(), RSA_KEY, "RS256", kid="r1"),
        lambda: signed(claims(), RSA_KEY, "RS256"),
        lambda: signed(claims(), EC_KEY, "ES256", kid="e1"),
        lambda: signed(claims(iat=time.time() + 30)),
        lambda: signed(claims(aud="anything", iss="anyone")),
    ],
)
def test_a_token_with_a_known_key_is_let_in(token: Callable[[], str], keys_file: str) -> None:
    assert ask(verifier(make_settings(JWT_JWKS_FILE=keys_file)), token()) == Principal(
        user_id="alice", admin=False
    )


@pytest.mark.parametrize(
    ("more", "admin"),
    [
        ({"role": "admin"}, True),
        ({"app_metadata": {"role": "admin"}}, True),
        ({"role": "user", "app_metadata": {"role": "admin"}}, True),
        ({"user_metadata": {"role": "admin"}}, False),
        ({"role": "Admin"}, False),
        ({"role": ["admin"]}, False),
        ({"app_metadata": "admin"}, False),
        ({"admin": True}, False),
        ({}, False),
    ],
)
def test_the_admin_role_is_read_from_two_places_only(more: dict[str, Any], admin: bool) -> None:
    assert ask(verifier(make_settings()), signed(claims(**more))).admin is admin


@pytest.mark.parametrize(
    ("more", "welcome"),
    [
        ({"aud": "runner", "iss": "https://id.example"}, True),
        ({"aud": ["x", "runner"], "iss": "https://id.example"}, True),
        ({"aud": "other", "iss": "https://id.example"}, False),
        ({"aud": "runner", "iss": "https://evil.example"}, False),
        ({"iss": "https://id.example"}, False),
        ({"aud": "runner"}, False),
    ],
)
def test_audience_and_issuer_are_checked_when_configured(more: dict[str, Any], welcome: bool) -> None:
    subject = verifier(make_settings(JWT_AUDIENCE="runner", JWT_ISSUER="https://id.example"))
    if welcome:
        assert ask(subject, signed(claims(**more))).user_id == "alice"
    else:
        with pytest.raises(ApiError):
            ask(subject, signed(claims(**more)))


def test_without_a_secret_hs256_is_refused(keys_file: str) -> None:
    subject = verifier(make_settings(JWT_SECRET="", JWT_JWKS_FILE=keys_file))
    assert ask(subject, signed(claims(), RSA_KEY, "RS256", kid="r1")).user_id == "alice"
    for key in (SECRET, "", "x"):
        with pytest.raises(ApiError):
            ask(subject, signed(claims(), key or "-"))


def test_without_anything_to_check_tokens_with_there_is_no_verifier() -> None:
    with pytest.raises(SettingsError, match="JWT_SECRET"):
        verifier(make_settings(JWT_SECRET=""))
    assert verifier(make_settings(JWT_SECRET=""), generated_secret=Secret(SECRET)) is not None


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"keys": [{"kty": "RSA", "n": "!"}]}'])
def test_a_key_file_that_is_none_is_refused_at_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match="JWT_JWKS_FILE"):
        verifier(make_settings(JWT_JWKS_FILE=str(file)))


class Publisher(httpx.AsyncBaseTransport):
    """Publishes keys, counts the askers, and may be down."""

    def __init__(self) -> None:
        self.document: Any = JWKS
        self.down = False
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.down:
            raise httpx.ConnectError("down", request=request)
        return httpx.Response(200, json=self.document)


class HandMovedTime:
    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


def test_published_keys_are_fetched_once_renewed_and_rotated() -> None:
    publisher, clock = Publisher(), HandMovedTime()
    source = KeySource(url="https://id.example/jwks", file=None, monotonic=clock, transport=publisher)

    async def story() -> None:
        for _ in range(5):
            assert await source.find("RS256", "r1") is not None
        assert publisher.asked == 1
        publisher.document = {"keys": [jwk_of(OTHER_RSA_KEY, "r2")]}
        assert await source.find("RS256", "r2") is None, "asked again at most every KEYS_RETRY_S"
        clock.s += KEYS_RETRY_S
        assert await source.find("RS256", "r2") is not None
        assert await source.find("RS256", "r1") is None, "a key withdrawn is no key"
        assert publisher.asked == 2

    asyncio.run(story())


def test_an_unreachable_publisher_is_503_until_it_answered_once_and_then_old_keys_serve_a_day() -> None:
    publisher, clock = Publisher(), HandMovedTime()
    publisher.down = True
    source = KeySource(url="https://id.example/jwks", file=None, monotonic=clock, transport=publisher)

    async def story() -> None:
        with pytest.raises(ApiError) as away:
            await source.find("RS256", "r1")
        assert (away.value.status, away.value.code) == (503, "AUTH_KEYS_UNAVAILABLE")
        publisher.down = False
        clock.s += KEYS_RETRY_S
        assert await source.find("RS256", "r1") is not None
        publisher.down = True
        clock.s += KEYS_FRESH_S + 1
        assert await source.find("RS256", "r1") is not None
        clock.s += KEYS_STALE_S
        with pytest.raises(ApiError):
            await source.find("RS256", "r1")

    asyncio.run(story())


@pytest.mark.parametrize("document", [["keys"], {"keys": "x" * 300_000}])
def test_a_publisher_of_nonsense_publishes_no_keys(document: Any) -> None:
    publisher = Publisher()
    publisher.document = document
    source = KeySource(url="https://id.example/jwks", file=None, transport=publisher)
    with pytest.raises(ApiError) as away:
        asyncio.run(source.find("RS256", "r1"))
    assert away.value.status in (401, 503)
