"""Pages are bounded in bytes, and say that there is more."""

from typing import Final

from core.services.responses.state.pages import MOST_PAGE, page_of

LARGE: Final = [{"id": f"msg_{number}", "text": "x" * (MOST_PAGE // 2 - 100)} for number in range(4)]
HUGE: Final = {"id": "msg_huge", "text": "x" * MOST_PAGE}


def ids(page: dict[str, object]) -> tuple[list[str], object, object, object]:
    data = page["data"]
    assert isinstance(data, list)
    return [element["id"] for element in data], page["first_id"], page["last_id"], page["has_more"]


def test_what_does_not_fit_comes_with_the_next_page() -> None:
    assert ids(page_of(LARGE, has_more=False)) == (["msg_0", "msg_1"], "msg_0", "msg_1", True)
    assert ids(page_of(LARGE[2:], has_more=False)) == (["msg_2", "msg_3"], "msg_2", "msg_3", False)


def test_a_page_before_an_element_ends_at_it() -> None:
    assert ids(page_of(LARGE, has_more=False, backward=True)) == (["msg_2", "msg_3"], "msg_2", "msg_3", True)


def test_one_that_is_too_large_is_a_page_of_its_own() -> None:
    assert ids(page_of([HUGE, *LARGE], has_more=False)) == (["msg_huge"], "msg_huge", "msg_huge", True)
    assert ids(page_of([], has_more=False)) == ([], "", "", False)
