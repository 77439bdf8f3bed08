"""From source in another language, or plain words, to a Python strategy, by any endpoint that speaks OpenAI's protocol.

What a model answers is a stranger's text: it is tried in the sandbox, whose complaints it is told once. Nothing is
kept here.

RunnerError
└── ConverterAway: the endpoint gave no answer that can be read; the sentence quotes neither its key nor its answer
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import httpx
import msgspec

from actors.converter_words import INSTRUCTIONS, asked, complaint
from actors.sandbox.validation import Validated
from core.errors import RunnerError
from core.redact import Secret

CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 60.0
"""For the whole of one answer; a conversion takes two at most."""
MAX_ANSWER_BYTES: Final = 400_000
MAX_CODE_CHARS: Final = 60_000
MAX_EXPLANATION_CHARS: Final = 8_000
MAX_AT_ONCE: Final = 8
_PATH: Final = "/chat/completions"
_FENCED: Final = re.compile(
    r"^```[ \t]*(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE
)
_THOUGHTS: Final = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_PYTHON: Final = ("python", "py", "python3", "")

Try = Callable[[str], Awaitable[Validated]]
"""Code in the sandbox; its errors are an answer, what it raises ends the conversion."""


class ConverterAway(RunnerError):
    pass


class ConverterBusy(RunnerError):
    """So many conversions are under way that this one is not begun."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """`validated` None: there was no code in the answer. `rounds`: answers it took."""

    code: str
    explanation: str
    validated: Validated | None
    rounds: int

    @property
    def ok(self) -> bool:
        return self.validated is not None and self.validated.code is not None


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    """What is read of an endpoint's answer; the rest is passed over."""

    choices: list[_Choice]


class Converter:
    """One endpoint and its model. `url`: its base, as `https://host/v1`, or the whole path."""

    def __init__(
        self, *, url: str, model: str, key: Secret | None, answer_timeout_s: float = ANSWER_TIMEOUT_S
    ) -> None:
        base = url.rstrip("/")
        self._url = base if base.endswith(_PATH) else base + _PATH
        self._model = model
        self._key = key
        self._answer_timeout_s = answer_timeout_s
        self._under_way = 0

    async def convert(self, source: str, *, language: str | None, try_code: Try) -> Conversion:
        """At most one repair: the errors of the first answer are told, and the second one counts.

        Raises ConverterAway, ConverterBusy, and whatever `try_code` raises.
        """
        if self._under_way >= MAX_AT_ONCE:
            raise ConverterBusy(f"{MAX_AT_ONCE} conversions are under way here; try again later.")
        self._under_way += 1
        try:
            first = [_said("system", INSTRUCTIONS), _said("user", asked(source, language))]
            answer = await self._complete(first)
            found = await _tried(answer, try_code, rounds=1)
            if found.ok:
                return found
            again = [*first, _said("assistant", answer), _said("user", complaint(found.validated))]
            return await _tried(await self._complete(again), try_code, rounds=2)
        finally:
            self._under_way -= 1

    async def _complete(self, messages: Sequence[Mapping[str, str]]) -> str:
        headers = {"Accept-Encoding": "identity"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        body = {"model": self._model, "messages": messages, "stream": False}
        timeout = httpx.Timeout(self._answer_timeout_s, connect=CONNECT_TIMEOUT_S)
        try:
            async with (
                asyncio.timeout(self._answer_timeout_s),
                httpx.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False) as client,
                client.stream("POST", self._url, json=body, headers=headers) as response,
            ):
                if response.status_code != 200:
                    raise ConverterAway(f"The converter's endpoint answered {response.status_code}.")
                content = await _bounded(response)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ConverterAway(
                f"The converter's endpoint did not answer within {self._answer_timeout_s:g} s."
            ) from error
        except httpx.HTTPError as error:
            raise ConverterAway("The converter's endpoint cannot be reached.") from error
        try:
            choices = msgspec.json.decode(content, type=_Completion).choices
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise ConverterAway("The converter's endpoint did not answer in OpenAI's protocol.") from error
        return (choices[0].message.content or "") if choices else ""


def parts(answer: str) -> tuple[str, str]:
    """The first Python block of a model's answer, empty where there is none, and the words around all blocks."""
    answer = _THOUGHTS.sub("", answer)
    blocks = [each for each in _FENCED.finditer(answer) if each["language"].lower() in _PYTHON]
    words = re.sub(r"\n{3,}", "\n\n", _FENCED.sub("", answer)).strip()
    return (blocks[0]["code"] if blocks else ""), words[:MAX_EXPLANATION_CHARS]


async def _tried(answer: str, try_code: Try, *, rounds: int) -> Conversion:
    code, explanation = parts(answer)
    usable = bool(code) and len(code) <= MAX_CODE_CHARS and "\0" not in code
    return Conversion(
        code=code if usable else "",
        explanation=explanation,
        validated=await try_code(code) if usable else None,
        rounds=rounds,
    )


async def _bounded(response: httpx.Response) -> bytes:
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > MAX_ANSWER_BYTES:
            raise ConverterAway("The converter's endpoint answered more than is read.")
    return bytes(content)


def _said(role: str, content: str) -> Mapping[str, str]:
    return {"role": role, "content": content}
