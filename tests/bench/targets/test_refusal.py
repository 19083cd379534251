import json

import pytest

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.targets.refusal import raise_for_status, said


def refused(status: int, body: bytes = b"", **headers: str) -> SpeakError:
    exchange = Exchange(status=status, pieces=[body], headers=headers)
    with pytest.raises(SpeakError) as caught:
        raise_for_status(exchange, "http://host")
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, FailureKind.HTTP_ERROR),
        (400, FailureKind.HTTP_ERROR),
        (401, FailureKind.UNAUTHORIZED),
        (403, FailureKind.UNAUTHORIZED),
        (404, FailureKind.NOT_FOUND),
        (405, FailureKind.NOT_FOUND),
        (408, FailureKind.TIMEOUT),
        (422, FailureKind.HTTP_ERROR),
        (429, FailureKind.REFUSED),
        (500, FailureKind.HTTP_ERROR),
        (503, FailureKind.REFUSED),
        (504, FailureKind.TIMEOUT),
    ],
)
def test_each_status_has_its_kind(status: int, kind: FailureKind):
    assert kind is refused(status).failure.kind


@pytest.mark.parametrize("status", [200, 201, 206])
def test_a_success_is_none(status: int):
    assert raise_for_status(Exchange(status=status), "http://host") is None


def test_a_sentence_has_what_the_server_says_and_what_to_do():
    body = b'{"error": {"message": "no such\\n voice", "type": "x"}}'

    assert str(refused(404, body)) == (
        "http://host answered HTTP 404: no such voice; "
        "correct the path, model or voice; `firstaudio bench discover` finds them"
    )
    assert str(refused(500)) == "http://host answered HTTP 500 without a word; look into its log"


def test_a_redirect_names_where_it_leads():
    assert "it redirects to https://other/: write that URL" in str(refused(301, location="https://other/"))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"error": {"message": "m"}}, "m"),
        ({"error": "m"}, "m"),
        ({"detail": "m"}, "m"),
        ({"detail": {"error": "x", "message": "m"}}, "x"),
        (
            {"detail": [{"loc": ["body", "input"], "msg": "Field required"}, {"msg": "b"}]},
            "body.input: Field required; b",
        ),
        ({"success": False, "error": None, "message": "m"}, "m"),
        ({"code": 7}, '{"code": 7}'),
        ([], "[]"),
        ("m", "m"),
    ],
)
def test_messages_are_found_in_the_usual_shapes(document, message: str):
    assert message == said(json.dumps(document).encode())


def test_text_is_told_without_markup_and_cut():
    assert said(b"<html><style>p {}</style><h1>502</h1>\n<p>Bad  Gateway</p>") == "502 Bad Gateway"
    assert said(b"x" * 201) == "x" * 197 + "..."
    assert said(b"\xff\xfe") == "\ufffd\ufffd"
    assert said(b"[" * 100_000) == "[" * 197 + "..."
