"""The converter against a real endpoint of OpenAI's protocol: what it asks, believes, repairs and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from actors.converter import (
    MAX_ANSWER_BYTES,
    MAX_AT_ONCE,
    MAX_CODE_CHARS,
    Conversion,
    Converter,
    ConverterAway,
    ConverterBusy,
    parts,
)
from actors.sandbox.validation import CodeError, Validated
from core.redact import Secret
from core.strategies.code import StrategyCode
from tests.model_endpoint import ModelEndpoint, model_endpoint

KEY = "sk-of-the-operator"
GOOD = "It buys.\n\n```python\ndef strategy(context):\n    return 'long'\n```\n\nNothing was left out."
BAD = "Here:\n```python\nbroken\n```"


@pytest.fixture
def endpoint() -> Iterator[ModelEndpoint]:
    with model_endpoint() as opened:
        yield opened


async def runs_unless_broken(code: str) -> Validated:
    if "broken" in code:
        return Validated(errors=(CodeError(line=1, message="NameError: broken", hint="Define it."),))
    return Validated(code=StrategyCode(text=code))


def converted(endpoint: ModelEndpoint, *answers: str | bytes | int, url: str | None = None) -> Conversion:
    endpoint.answers = list(answers)
    converter = Converter(url=url or endpoint.url, model="some-model", key=Secret(KEY))
    source = "//@version=5\nstrategy('x')"
    return asyncio.run(converter.convert(source, language="Pine", try_code=runs_unless_broken))


def test_code_and_explanation_are_taken_from_one_answer(endpoint: ModelEndpoint) -> None:
    found = converted(endpoint, GOOD)
    assert (found.ok, found.rounds) == (True, 1)
    assert found.code == "def strategy(context):\n    return 'long'\n"
    assert found.explanation == "It buys.\n\nNothing was left out."


def test_what_is_asked_is_openai_protocol_with_key_model_contract_and_source(endpoint: ModelEndpoint) -> None:
    converted(endpoint, GOOD)
    assert endpoint.paths == ["/v1/chat/completions"]
    assert endpoint.authorizations == [f"Bearer {KEY}"]
    asked = endpoint.asked[0]
    assert (asked["model"], asked["stream"]) == ("some-model", False)
    system, user = asked["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert "strategy(context)" in system["content"]
    assert "talib" in system["content"]
    assert "This is Pine" in user["content"]
    assert "//@version=5" in user["content"]


def test_a_whole_path_is_asked_as_it_is(endpoint: ModelEndpoint) -> None:
    assert converted(endpoint, GOOD, url=f"{endpoint.url}/chat/completions/").ok
    assert endpoint.paths == ["/v1/chat/completions"]


def test_code_that_does_not_run_is_repaired_once_by_its_errors(endpoint: ModelEndpoint) -> None:
    found = converted(endpoint, BAD, GOOD)
    assert (found.ok, found.rounds) == (True, 2)
    told = endpoint.asked[1]["messages"]
    assert [each["role"] for each in told] == ["system", "user", "assistant", "user"]
    assert told[2]["content"] == BAD
    assert "line 1: NameError: broken Define it." in told[3]["content"]


def test_there_is_no_second_repair(endpoint: ModelEndpoint) -> None:
    found = converted(endpoint, BAD, BAD, GOOD)
    assert (found.ok, found.rounds, len(endpoint.asked)) == (False, 2, 2)
    assert found.validated is not None
    assert found.validated.errors[0].line == 1


@pytest.mark.parametrize(
    "answer",
    [
        "I cannot do that.",
        "```\n```",
        "```js\nreturn 1\n```",
        "",
        f"```python\n{'x' * (MAX_CODE_CHARS + 1)}\n```",
    ],
)
def test_an_answer_without_usable_code_is_asked_for_it_again(endpoint: ModelEndpoint, answer: str) -> None:
    assert converted(endpoint, answer, GOOD).ok
    assert "no block of Python" in endpoint.asked[1]["messages"][3]["content"]
    found = converted(endpoint, answer, answer)
    assert (found.ok, found.code, found.validated) == (False, "", None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (401, "answered 401"),
        (429, "answered 429"),
        (500, "answered 500"),
        (302, "answered 302"),
        (b"<html>", "did not answer in OpenAI's protocol"),
        (b'{"choices": 3}', "did not answer in OpenAI's protocol"),
        (b"[" * 100_000, "did not answer in OpenAI's protocol"),
        (b" " * (MAX_ANSWER_BYTES + 1), "more than is read"),
    ],
)
def test_an_endpoint_that_gives_no_answer_is_away_by_name_and_its_key_is_not_told(
    endpoint: ModelEndpoint, answer: bytes | int, said: str
) -> None:
    with pytest.raises(ConverterAway, match=said) as raised:
        converted(endpoint, answer)
    assert KEY not in str(raised.value)
    assert len(endpoint.asked) == 1


def test_an_endpoint_that_says_nothing_is_waited_for_so_long(endpoint: ModelEndpoint) -> None:
    endpoint.answers = [None]
    converter = Converter(url=endpoint.url, model="m", key=None, answer_timeout_s=0.2)
    with pytest.raises(ConverterAway, match=r"did not answer within 0\.2 s"):
        asyncio.run(converter.convert("x", language=None, try_code=runs_unless_broken))
    assert len(endpoint.asked) == 1


def test_an_endpoint_that_is_not_there_is_away(endpoint: ModelEndpoint) -> None:
    with pytest.raises(ConverterAway, match="cannot be reached"):
        converted(endpoint, url="http://127.0.0.1:1/v1")


def test_more_than_the_bound_at_once_are_refused_and_it_frees_itself(endpoint: ModelEndpoint) -> None:
    endpoint.answers = [GOOD] * (MAX_AT_ONCE + 1)
    converter = Converter(url=endpoint.url, model="m", key=None)
    open_now = asyncio.Event()

    async def waits(code: str) -> Validated:
        await open_now.wait()
        return await runs_unless_broken(code)

    async def crowd() -> None:
        begun = [
            asyncio.create_task(converter.convert("x", language=None, try_code=waits))
            for _ in range(MAX_AT_ONCE)
        ]
        await asyncio.sleep(0)
        with pytest.raises(ConverterBusy):
            await converter.convert("x", language=None, try_code=waits)
        open_now.set()
        assert all(each.ok for each in await asyncio.gather(*begun))
        assert (await converter.convert("x", language=None, try_code=waits)).ok

    asyncio.run(crowd())
    assert endpoint.authorizations == [None] * (MAX_AT_ONCE + 1)


def test_thoughts_and_other_blocks_are_not_the_code() -> None:
    answer = "<think>```python\nno\n```</think>From:\n```pine\nold\n```\nto\n```py\nnew\n```\n"
    assert parts(answer) == ("new\n", "From:\n\nto")
