"""A chain of hashes holds as it was made, and breaks at the first link that was touched."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.audit import Head, Link, origin_of, sealed, verify
from core.ids import UserId

ANN = UserId("ann")


def chain(length: int, user: UserId = ANN, dropped: int = 0) -> tuple[Head, list[Link]]:
    links: list[Link] = []
    last = origin_of(user)
    for number in range(1, length + 1):
        content = msgspec.json.encode(
            [number, number * 3, user, None, number, "error", 0, {"n": number}]
        ).decode()
        links.append(Link(number=number, previous_hash=last, hash=sealed(last, content), content=content))
        last = links[-1].hash
    return Head(user_id=user, number=length, hash=last, dropped=dropped), links


@given(st.integers(0, 20))
def test_a_chain_as_it_was_made_holds(length: int) -> None:
    head, links = chain(length)
    verdict = verify(head, links)
    assert verdict.holds
    assert verdict.links == length


@given(st.data())
def test_whatever_one_link_is_made_to_say_the_chain_breaks_there(data: st.DataObject) -> None:
    head, links = chain(data.draw(st.integers(1, 12)))
    at = data.draw(st.integers(0, len(links) - 1))
    touched = data.draw(
        st.sampled_from(
            [
                replace(links[at], content=links[at].content.replace("error", "signal")),
                replace(links[at], hash=bytes(32)),
                replace(links[at], previous_hash=bytes(32)),
                replace(links[at], number=links[at].number + 1),
            ]
        )
    )
    verdict = verify(head, [*links[:at], touched, *links[at + 1 :]])
    assert verdict.broken is not None
    assert verdict.broken.number == at + 1


@given(st.data())
def test_a_link_left_out_is_named_wherever_it_stood(data: st.DataObject) -> None:
    head, links = chain(data.draw(st.integers(1, 12)))
    gone = data.draw(st.integers(0, len(links) - 1))
    verdict = verify(head, links[:gone] + links[gone + 1 :])
    assert verdict.broken is not None
    assert (verdict.broken.number, verdict.broken.why) == (gone + 1, "is missing")


def test_a_link_put_in_twice_or_after_the_head_breaks_the_chain() -> None:
    head, links = chain(4)
    assert not verify(head, [*links[:2], links[1], *links[2:]]).holds
    longer, more = chain(5)
    assert longer.number == head.number + 1
    assert not verify(head, more).holds


def test_what_is_re_sealed_from_the_middle_on_does_not_meet_the_head_kept_elsewhere() -> None:
    head, links = chain(6)
    last = links[2].previous_hash
    forged = links[:2]
    for link in links[2:]:
        content = link.content.replace("error", "signal")
        forged.append(replace(link, previous_hash=last, content=content, hash=sealed(last, content)))
        last = forged[-1].hash
    new_head = replace(head, hash=last)
    assert verify(new_head, forged).holds, "a whole forged chain agrees with itself"
    kept = Head(user_id=ANN, number=4, hash=links[3].hash)
    verdict = verify(new_head, forged, known=kept)
    assert verdict.broken is not None
    assert verdict.broken.number == 4


def test_a_chain_cut_short_of_a_head_kept_elsewhere_is_broken() -> None:
    known, _ = chain(6)
    head, links = chain(5)
    verdict = verify(head, links, known=known)
    assert verdict.broken is not None
    assert verdict.broken.number == 6


@pytest.mark.parametrize("kept", [[4, 5, 6], [2, 5, 6], [1, 3, 4, 5, 6], []])
def test_links_that_retention_took_out_may_be_gone_and_no_others(kept: list[int]) -> None:
    head, links = chain(6)
    part = [link for link in links if link.number in kept]
    dropped = next((n - 1 for n in reversed(range(1, 8)) if n - 1 not in kept), 0)
    assert verify(replace(head, dropped=dropped), part).holds
    assert not verify(replace(head, dropped=dropped - 1), part).holds


def test_another_users_link_does_not_stand_in_a_chain() -> None:
    head, _ = chain(1)
    theirs, links = chain(1, UserId("bob"))
    assert verify(theirs, links).holds
    forged = [replace(links[0], previous_hash=origin_of(ANN), hash=sealed(origin_of(ANN), links[0].content))]
    assert not verify(replace(head, hash=forged[0].hash), forged).holds
