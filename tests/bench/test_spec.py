import pytest

from firstaudio.bench.spec import SECRET, TargetSpec, without_secrets


def test_no_secret_of_a_target_is_shown() -> None:
    spec = TargetSpec(
        "http",
        "http://host/?key=hidden",
        path="/speak?api_key=hidden&voice={voice}",
        headers={"X-Auth": "hidden", "Accept": "audio/wav"},
        body={"text": "{text}", "max_tokens": 10, "login": {"api_key": "hidden", "user": "me"}},
        token="hidden",
    )
    shown = spec.public()
    assert "hidden" not in str(shown)
    assert shown["headers"] == {"X-Auth": SECRET, "Accept": "audio/wav"}
    assert shown["path"] == f"/speak?api_key={SECRET}&voice={{voice}}"
    assert shown["body"] == {"text": "{text}", "max_tokens": 10, "login": {"api_key": SECRET, "user": "me"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://host:8000/v1", "http://host:8000/v1"),
        ("http://host/tts?text={text}&token=abc#end", f"http://host/tts?text={{text}}&token={SECRET}#end"),
        ('{"text":  "{text}"}', '{"text":  "{text}"}'),
        ('{"apikey": "abc"}', f'{{"apikey": "{SECRET}"}}'),
        ("http://host/?monkey=1&voice=a", "http://host/?monkey=1&voice=a"),
    ],
)
def test_only_what_is_named_like_a_secret_is_hidden(text: str, expected: str) -> None:
    assert without_secrets(text) == expected
