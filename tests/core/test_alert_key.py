"""An alert key cannot be read off anything but itself."""

from __future__ import annotations

import hashlib
import pickle

import pytest

from core.alert_key import RANDOM_BYTES, AlertKey, alert_key_of
from core.redact import MASK, redact, without_secrets

KEY = alert_key_of(bytes(range(RANDOM_BYTES)))


def test_it_is_made_of_256_bits_and_kept_as_its_digest() -> None:
    assert KEY.reveal() == "sra_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert KEY.digest == hashlib.sha256(KEY.reveal().encode()).digest()
    with pytest.raises(ValueError, match="not of 16"):
        alert_key_of(bytes(16))


def test_i13_it_is_shown_nowhere() -> None:
    shown = (
        f"{KEY} {KEY!r} {redact({'alertKey': KEY.reveal(), 'body': [KEY]})} {without_secrets(KEY.reveal())}"
    )
    assert KEY.reveal()[:12] not in shown
    assert MASK in shown
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


def test_anything_may_be_offered_as_one() -> None:
    assert len({AlertKey(text).digest for text in ("", "é", "\ud800", "x" * 10_000)}) == 4
