"""Citations resolve to what was shown, whatever a model writes and however it arrives."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from core.apis.retrieval import Passage
from core.services.retrieval.citations import CitationReader, mark, name_documents, resolve_citations

IDS = ("file-a1", "notes", "file-b_2", "a b", "x|>y", "document-5", "")
SHOWN = [Passage(place, "text", 0.5, "s", id_, f"{id_}.md") for place, id_ in enumerate(IDS, 1)]
DOCUMENTS = name_documents(SHOWN)
PIECES = st.one_of(
    st.sampled_from(
        [
            *map(mark, DOCUMENTS),
            "<|file-zz|>",
            "[file-a1]",
            "(file-b_2)",
            "[notes]",
            "<|",
            "|>",
            "<",
            " ",
            "[file-",
            "<||>",
            "A fact",
            ".",
        ]
    ),
    st.text(max_size=5),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(PIECES, max_size=20).map("".join), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_an_answer_comes_to_the_same_however_it_is_cut(answer: str, cuts: list[int]) -> None:
    text, citations = resolve_citations(answer, DOCUMENTS)
    reader, pieces, place = CitationReader(DOCUMENTS), list[str](), 0
    while place < len(answer):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(reader.read(answer[place : place + size]))
        place += size
    assert ("".join(pieces) + reader.close(), reader.citations) == (text, citations)
    shown = {(passage.document_id, passage.filename) for passage in SHOWN}
    assert all((row["file_id"], row["filename"]) in shown for row in citations)
    assert all(0 <= row["index"] <= len(text) for row in citations)
    assert [row["index"] for row in citations] == sorted(row["index"] for row in citations)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([*DOCUMENTS]), min_size=1), st.sampled_from(["A fact", "日本語", ""]))
def test_what_a_model_was_told_to_write_is_what_it_cites(names: list[str], fact: str) -> None:
    answer = "".join(f"{fact} {mark(name)}." for name in names)
    text, citations = resolve_citations(answer, DOCUMENTS)
    assert text == f"{fact}." * len(names)
    assert [row["file_id"] for row in citations] == [DOCUMENTS[name].document_id for name in names]
    assert [row["index"] for row in citations] == [len(f"{fact}." * n) + len(fact) for n in range(len(names))]


def test_a_file_that_was_not_shown_is_text_and_brackets_of_one_that_was_are_a_citation() -> None:
    answer = "One <|file-zz|>, two [file-a1] and (file-b_2), [notes], <|endoftext|>."
    text, citations = resolve_citations(answer, DOCUMENTS)
    assert text == "One <|file-zz|>, two and, [notes], <|endoftext|>."
    assert [row["file_id"] for row in citations] == ["file-a1", "file-b_2"]


def test_a_document_has_one_name_which_a_mark_can_hold() -> None:
    again = replace(SHOWN[0], index=9, text="more")
    names = name_documents([*SHOWN, again])
    assert {name: passage.index for name, passage in names.items()} == {
        "file-a1": 1,
        "notes": 2,
        "file-b_2": 3,
        "document-c8687a08": 4,
        "document-4e3a1bf3": 5,
        "document-5": 6,
        "document-e3b0c442": 7,
    }
    assert name_documents([SHOWN[4]]).keys() <= names.keys()
