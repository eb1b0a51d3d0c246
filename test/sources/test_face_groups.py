from __future__ import annotations

import pytest

from social_perception.sources.face_groups import FaceGroups, GroupedFace

WAIT_S = 0.1


@pytest.fixture
def groups() -> FaceGroups:
    return FaceGroups(WAIT_S, with_images=True)


def send(groups: FaceGroups, stamp: int, now_s: float, *ids: str, rois="", images="", listed=True) -> None:
    """Rectangles and images named by letters, and then the list, as face detectors send them."""
    for each in rois:
        groups.add_roi(f"h{stamp}", stamp, each, f"{each}{stamp}", now_s)
    for each in images:
        groups.add_image(f"h{stamp}", stamp, each, f"image {each}{stamp}", now_s)
    if listed:
        groups.add_ids(f"h{stamp}", stamp, ids, now_s)


def whole(each: str, stamp: int) -> GroupedFace:
    return GroupedFace(each, f"{each}{stamp}", f"image {each}{stamp}", True)


def test_what_has_one_stamp_is_one_group(groups) -> None:
    send(groups, 1, 0.0, "a", "b", rois="ab", images="ba")
    (group,) = groups.take(0.0)
    assert (group.stamp_ns, group.header) == (1, "h1")
    assert group.faces == (whole("a", 1), whole("b", 1))
    assert groups.take(10.0) == []


@pytest.mark.parametrize("order", [("roi", "image", "ids"), ("ids", "image", "roi"), ("roi", "ids", "image")])
def test_the_order_of_arrival_does_not_matter(groups, order) -> None:
    send(groups, 1, 0.0, "a", rois="a", images="a")
    groups.take(0.0)
    add = {
        "roi": lambda: groups.add_roi("h2", 2, "a", "a2", 1.0),
        "image": lambda: groups.add_image("h2", 2, "a", "image a2", 1.0),
        "ids": lambda: groups.add_ids("h2", 2, ["a"], 1.0),
    }
    for part in order[:-1]:
        add[part]()
        assert groups.take(1.0) == []
    add[order[-1]]()
    assert groups.take(1.0)[0].faces == (whole("a", 2),)


def test_an_empty_list_is_complete_at_once(groups) -> None:
    send(groups, 1, 0.0)
    assert groups.take(0.0)[0].faces == ()


def test_a_missing_face_is_waited_for_once_and_then_listed_as_not_seen(groups) -> None:
    send(groups, 1, 0.0, "a", "b", rois="ab", images="ab")
    groups.take(0.0)
    send(groups, 2, 1.0, "a", "b", rois="a", images="a")
    assert groups.take(1.0 + 0.9 * WAIT_S) == []
    (second,) = groups.take(1.0 + WAIT_S)
    assert second.faces == (whole("a", 2), GroupedFace("b", "b1", None, False))
    send(groups, 3, 2.0, "a", "b", rois="a", images="a")
    assert groups.take(2.0)[0].faces == (whole("a", 3), GroupedFace("b", "b1", None, False))
    # It is back: its parts belong to the group again, and it is waited for again.
    send(groups, 4, 3.0, "a", "b", rois="ab", images="ab")
    assert groups.take(3.0)[0].faces == (whole("a", 4), whole("b", 4))
    send(groups, 5, 4.0, "a", "b", rois="a", images="a")
    assert groups.take(4.0) == []


def test_groups_leave_in_the_order_of_their_stamps(groups) -> None:
    send(groups, 1, 0.0, "a", "b", rois="ab", images="ab")
    groups.take(0.0)
    send(groups, 2, 1.0, "a", "b", rois="a", images="a")
    send(groups, 3, 1.03, "a", "b", rois="ab", images="ab")
    assert groups.take(1.03) == []
    assert [group.stamp_ns for group in groups.take(1.0 + WAIT_S)] == [2, 3]


def test_a_straggler_is_dropped_and_counted_but_its_face_is_waited_for(groups) -> None:
    send(groups, 1, 0.0, "a")
    assert groups.take(0.0)[0].faces == ()
    send(groups, 1, 0.01, rois="a", images="a", listed=False)
    assert groups.late == 2
    assert groups.take(0.01) == []
    groups.add_ids("h2", 2, ["a"], 1.0)
    assert groups.take(1.0) == []
    send(groups, 2, 1.01, rois="a", images="a", listed=False)
    assert groups.take(1.01)[0].faces == (whole("a", 2),)


def test_who_sends_ahead_is_still_waited_for_when_an_older_group_leaves(groups) -> None:
    send(groups, 1, 0.0, "a", "b", rois="ab", images="ab")
    groups.take(0.0)
    send(groups, 2, 1.0, "a", "b", rois="a", images="a")
    groups.add_roi("h3", 3, "b", "b3", 1.05)  # b is there, though not in the second image
    groups.add_ids("h3", 3, ["a", "b"], 1.05)
    assert [group.stamp_ns for group in groups.take(1.0 + WAIT_S)] == [2]
    send(groups, 3, 1.11, rois="a", images="a", listed=False)
    assert groups.take(1.11) == []
    send(groups, 3, 1.11, images="b", listed=False)
    assert groups.take(1.11)[0].faces == (whole("a", 3), whole("b", 3))


def test_without_a_list_the_last_one_holds(groups) -> None:
    send(groups, 1, 0.0, rois="a", images="a", listed=False)
    assert groups.take(WAIT_S) == []  # nobody has said yet who is there
    send(groups, 2, 1.0, "a", rois="a", images="a")
    groups.take(1.0)
    send(groups, 3, 2.0, rois="ax", images="ax", listed=False)
    assert groups.take(2.0) == []
    assert groups.take(2.0 + WAIT_S)[0].faces == (whole("a", 3),)


def test_an_image_alone_is_no_group(groups) -> None:
    send(groups, 1, 0.0, "a", rois="a", images="a")
    groups.take(0.0)
    send(groups, 2, 1.0, images="a", listed=False)
    assert groups.take(1.0 + WAIT_S) == []
    send(groups, 3, 2.0, "a", rois="a", images="a")
    assert [group.stamp_ns for group in groups.take(2.0)] == [3]


def test_without_images_none_is_waited_for() -> None:
    groups = FaceGroups(WAIT_S, with_images=False)
    send(groups, 1, 0.0, "a", rois="a")
    assert groups.take(0.0)[0].faces == (GroupedFace("a", "a1", None, True),)


def test_what_else_belongs_to_the_stamp_is_waited_for() -> None:
    images = set()
    groups = FaceGroups(WAIT_S, with_images=False, ready=images.__contains__)
    send(groups, 1, 0.0)
    assert groups.take(0.0)  # nobody is there, so that no image is needed
    send(groups, 2, 1.0, "a", rois="a")
    assert groups.take(1.0) == []
    images.add(2)
    assert [group.stamp_ns for group in groups.take(1.0)] == [2]
    send(groups, 3, 2.0, "a", rois="a")
    assert [group.stamp_ns for group in groups.take(2.0 + WAIT_S)] == [3]


def test_after_a_jump_back_old_stamps_are_new(groups) -> None:
    send(groups, 9, 0.0, "a", rois="a", images="a")
    groups.take(0.0)
    groups.clear()
    send(groups, 1, 1.0, "b", rois="b", images="b")
    assert groups.take(1.0)[0].faces == (whole("b", 1),)


def test_no_more_waits_than_a_minute_of_images_would_need() -> None:
    groups = FaceGroups(1000.0, with_images=True)
    send(groups, 1, 0.0, "a", rois="a", images="a")
    groups.take(0.0)
    for stamp in range(2, 1002):
        send(groups, stamp, 0.0, "a", rois="a")
        groups.take(0.0)
    assert len(groups._pending) <= 64
    assert len(groups._rois) == 1
