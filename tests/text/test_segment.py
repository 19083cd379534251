import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firstaudio.config import StreamingConfig
from firstaudio.text.boundaries import Kind
from firstaudio.text.characters import is_speakable
from firstaudio.text.mapped import MappedText
from firstaudio.text.normalise import Normaliser
from firstaudio.text.plan import Budget, CostModel, SpeechRate, plan_budget
from firstaudio.text.segment import PULL_CHARS, Segment, Segmenter, segment_text

SPEECH = (
    "Hello to everyone who has come here today, and thank you. Dr. Smith, who paid $3.14 for it, is late again "
    'because the train from the north did not arrive in time. He says: "Start without me!" So we do. '
    "First we look at the plan; then we talk about the price of fish, which has risen by 12% since 1999. Yes.\n\n"
    "The second part is short."
)
SHORT = Budget(min_s=0.6, target_s=0.6, max_s=1.2, max_chars=60, natural=Kind.CLAUSE)
TOKENS = "a Dr. 3 ... ! ? , : — ( ) “ and the 你好 。 か ก **b** x@y.zz"
FRAGMENTS = [*TOKENS.split(), " ", " ", "\n\n", "word ", "w" * 90]
texts = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join))


def normalise(text: str) -> str:
    normaliser = Normaliser()
    return MappedText.join([normaliser.feed(text), normaliser.finish()]).text


def joined(segments: list[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def assert_exact_slices(segments: list[Segment], text: str) -> None:
    assert joined(segments) == text
    assert [segment.index for segment in segments] == list(range(len(segments)))
    assert [segment.start for segment in segments] == [0, *(segment.end for segment in segments)][: len(segments)]
    assert all(text[segment.start : segment.end] == segment.text for segment in segments)


@given(texts, st.booleans(), st.booleans(), st.sampled_from([0.0, 0.3, 1.5]))
@example("w" * 5000, False, True, 0.3)
@settings(max_examples=150)
def test_segments_are_the_text(text: str, incremental: bool, fast_path: bool, rtf: float):
    streaming = StreamingConfig(fast_path_enabled=fast_path)
    segments = segment_text(text, streaming, cost=CostModel(rtf), incremental=incremental)
    assert_exact_slices(segments, normalise(text))
    assert all(len(segment.text) <= streaming.max_segment_chars for segment in segments)
    assert all(not segment.text[:1].isspace() for segment in segments)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a ",
        "! ",
        "a. ",
        "a\n\n",
        "天",
        "你好，世界",
        "สวัสดี",
        "1",
        "e\u0301",
        "a (",
        "the ",
        "—",
        "Dr. No. 5, e.g. ",
    ],
)
def test_a_hundred_thousand_characters_of_anything_lose_none(unit: str):
    text = "x" + unit * (100_000 // len(unit) if unit != "a\n\n" else 3000)
    assert_exact_slices(segment_text(text, cost=CostModel(0.3)), normalise(text))
    assert_exact_slices(segment_text(text[:10_000], cost=CostModel(0.3), incremental=False), normalise(text[:10_000]))


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join))
def test_no_segment_is_marks_only(text: str):
    segments = segment_text(text.replace("w" * 90, "w"), cost=CostModel(0.3), incremental=False)
    assert all(is_speakable(segment.text) for segment in segments if segment.kind is not Kind.CHARACTER)


def cut_piecewise(text: str, sizes: list[int], budget: Budget) -> list[Segment]:
    """Feed pieces of the given sizes, taking every segment as soon as it is there."""
    segmenter, segments = Segmenter(), []
    begin = 0
    for size in [*sizes, len(text)]:
        segmenter.feed(text[begin : begin + size])
        begin += size
        while segment := segmenter.next_segment(budget):
            segments.append(segment)
    segmenter.finish()
    while segment := segmenter.next_segment(budget):
        segments.append(segment)
    assert segmenter.exhausted
    return segments


@given(texts, st.lists(st.integers(1, 30), max_size=30), st.sampled_from([0.6, 3.0]))
@example(SPEECH, [1] * len(SPEECH), 0.6)
def test_the_cuts_do_not_depend_on_the_pieces(text: str, sizes: list[int], max_s: float):
    budget = Budget(0.6, max_s, max_s * 2, 80, Kind.CLAUSE)
    whole = cut_piecewise(text, [], budget)
    pieces = cut_piecewise(text, sizes, budget)
    assert [segment.text for segment in pieces] == [segment.text for segment in whole]
    assert [segment.kind for segment in pieces] == [segment.kind for segment in whole]


def test_the_first_segment_does_not_read_the_rest_of_the_text(monkeypatch: pytest.MonkeyPatch):
    read: list[int] = []
    original = Normaliser.feed

    def counting(self: Normaliser, piece: str) -> MappedText:
        read.append(len(piece))
        return original(self, piece)

    monkeypatch.setattr(Normaliser, "feed", counting)
    segmenter = Segmenter()
    segmenter.feed(SPEECH * 300)
    segmenter.finish()
    segment = segmenter.next_segment(plan_budget(0, 0.0, CostModel(0.1), StreamingConfig(), incremental=True))
    assert segment is not None
    assert segment.text == "Hello to everyone who has come here today, "
    assert read == [PULL_CHARS]


def test_none_means_more_text_or_the_end():
    segmenter = Segmenter()
    segmenter.feed("Hello there, my dear")
    assert segmenter.next_segment(SHORT) is None
    assert not segmenter.exhausted
    segmenter.feed(" old friend from school")
    first = segmenter.next_segment(SHORT)
    assert first is not None
    assert first.text == "Hello there, "
    segmenter.finish()
    rest = [segment.text for segment in iter(lambda: segmenter.next_segment(SHORT), None)]
    assert "".join(rest) == "my dear old friend from school"
    assert segmenter.exhausted


@pytest.mark.parametrize("text", ["", "***", "😀", "<think>only thoughts"])
def test_a_text_without_anything_to_say_has_no_segments(text: str):
    assert segment_text(text) == []


@pytest.mark.parametrize("text", ["Hi", "OK", "5", "a", "好"])
def test_the_shortest_texts_are_one_segment(text: str):
    segments = segment_text(text)
    assert [segment.text for segment in segments] == [text]
    assert segments[0].kind is Kind.PARAGRAPH


def test_an_engine_that_streams_inside_a_segment_begins_with_a_whole_clause():
    first, *others = segment_text(SPEECH, incremental=True)
    assert first.text == "Hello to everyone who has come here today, "
    assert others[0].text == "and thank you. "
    assert all(segment.kind >= Kind.SENTENCE for segment in others)


def test_an_engine_that_does_not_begins_with_what_fits_and_grows():
    segments = segment_text(SPEECH, cost=CostModel(0.3), incremental=False)
    assert segments[0].text == "Hello to everyone "
    assert segments[1].text == "who has come here today, and thank you. "
    assert all(segment.kind >= Kind.SENTENCE for segment in segments[1:])


@pytest.mark.parametrize("rtf", [0.1, 0.3, 0.6])
def test_the_listener_never_runs_dry_where_the_engine_is_fast_enough(rtf: float):
    cost = CostModel(rtf, 0.05)
    segments = segment_text("Well, this is it. " + SPEECH, cost=cost, incremental=False)
    lead_s = segments[0].estimated_s
    for segment in segments[1:]:
        lead_s -= cost.predict_s(segment.estimated_s)
        assert lead_s >= 0
        lead_s += segment.estimated_s


def test_with_the_fast_path_off_segments_are_of_equal_size():
    off = segment_text(SPEECH, StreamingConfig(fast_path_enabled=False))
    on = segment_text(SPEECH)
    within_paragraph = [segment.estimated_s for segment in off if segment.kind is not Kind.PARAGRAPH]
    assert all(2.0 <= seconds <= 6.0 for seconds in within_paragraph)
    assert max(segment.estimated_s for segment in on) > 8.0 > 6.0 >= max(within_paragraph)


def test_a_larger_safety_buffer_means_shorter_segments():
    def second_s(buffer_ms: int) -> float:
        streaming = StreamingConfig(target_buffer_ms=buffer_ms)
        return segment_text(SPEECH, streaming, cost=CostModel(0.3), incremental=False)[1].estimated_s

    assert second_s(700) < second_s(0)


def test_at_double_speed_a_segment_holds_twice_the_text():
    slow = segment_text("word " * 100, cost=CostModel(0.3), incremental=False)
    fast = segment_text("word " * 100, cost=CostModel(0.3), incremental=False, speed=2.0)
    assert len(fast[0].text) == pytest.approx(2 * len(slow[0].text), abs=5)


def test_a_slow_voice_gets_less_text():
    rate = SpeechRate()
    for _ in range(50):
        rate.observe("a" * 30, 4.0)
    segmenter = Segmenter(rate=rate)
    segmenter.feed("one two three four five six seven eight")
    segmenter.finish()
    segment = segmenter.next_segment(SHORT)
    assert segment is not None
    assert segment.text == "one two "


def test_a_word_in_a_segment_leads_back_to_the_original():
    original = "# Title\n\nSome **bold** words, and [a link](https://x.y) 😀 to follow."
    for segment in segment_text(original):
        for word in ("Title", "bold", "link", "follow"):
            at = segment.text.find(word)
            if at >= 0:
                start, end = segment.original_span(at, at + len(word))
                assert original[start:end] == word


@pytest.mark.parametrize(
    ("language", "text", "first"),
    [
        ("zh", "你好，我是来自北京的学生，今天我们要谈谈天气。", "你好，"),
        ("ja", "こんにちは、私は毎日コンピュータを使っています。", "こんにちは、"),
        ("th", "สวัสดีครับ ผมชื่อสมชาย วันนี้อากาศดีมาก", "สวัสดีครับ "),
        ("de", "Guten Morgen, Frau Dr. Meier. Wie geht es Ihnen?", "Guten Morgen, "),
        ("hi", "नमस्ते दुनिया, आप कैसे हैं। मैं ठीक हूँ।", "नमस्ते दुनिया, "),
    ],
)
def test_the_first_segment_in_many_languages(language: str, text: str, first: str):
    assert segment_text(text, cost=CostModel(0.3), language=language, incremental=False)[0].text == first
