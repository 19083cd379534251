import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firstaudio.text.mapped import MappedText
from firstaudio.text.normalise import Normaliser

# Openers, closers and halves of everything that the scanner knows: random sums of them find every edge.
SPACED_FRAGMENTS = r"""
* ** _ ~~ ~ # - + = == ---- ` `` ``` ~~~ > | |---| [ ] ]( ( ) ! ![ [^1] < > </ <think> </think> <b> <br/> <!-- -->
<speak> <a href=x> & amp; &lt; &#128512; &#0; \ http https:// www. ftp mailto: joe@ex.com @ /p?q=1 . , % " ' 1 12 1. a b
x.y é é 你好 。 ก क् 😀
"""
BLANK_FRAGMENTS = (
    " ",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    "\u2029",
    "\0",
    "\u200d",
    "\u200c",
    "\ud800",
    "a ",
    ' "t" ',
    "- [x] ",
)
FRAGMENTS = [*SPACED_FRAGMENTS.split(), *BLANK_FRAGMENTS, "x" * 70, "<a href=x>"]


def normalise(text: str, *cuts: int, language: str = "en") -> MappedText:
    """The whole of `text`, fed in pieces that end at `cuts`."""
    normaliser = Normaliser(language)
    edges = [0, *sorted(cuts), len(text)]
    parts = [normaliser.feed(text[start:end]) for start, end in pairwise(edges)]
    return MappedText.join([*parts, normaliser.finish()])


def spans(mapped: MappedText) -> list[tuple[int, int]]:
    return [mapped.original_span(at, at + 1) for at in range(len(mapped))]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=20).map("".join), st.data())
@settings(max_examples=300)
def test_the_output_does_not_depend_on_the_cuts(text: str, data: st.DataObject):
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=4))
    whole = normalise(text)
    for pieces in (normalise(text, *cuts), normalise(text, *range(len(text)))):
        assert pieces.text == whole.text
        assert spans(pieces) == spans(whole)


@given(st.text(max_size=60), st.data())
def test_no_unicode_text_breaks_the_machine(text: str, data: st.DataObject):
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=3))
    assert normalise(text, *cuts).text == normalise(text).text


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(FRAGMENTS), max_size=20).map("".join)))
def test_white_space_is_single_and_inside_only(text: str):
    spoken = normalise(text).text
    assert spoken == spoken.strip()
    assert not re.search(r"  | \n|\n |\n{3}|(?<!\n)\n(?!\n)|[^\S \n]", spoken)
    spoken.encode()


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=20).map("".join))
def test_the_map_never_goes_back(text: str):
    starts = [start for start, _ in spans(normalise(text))]
    assert starts == sorted(starts)
    assert all(0 <= start <= end <= len(text) for start, end in spans(normalise(text)))


@given(st.lists(st.sampled_from(["word", "it's", "3.14,", "(so)", "Über?", "数字。", "12:30", "$5"])).map(" ".join))
@example("It costs $3.14, doesn't it? (Yes: 50% off.)")
def test_plain_prose_is_left_alone(text: str):
    spoken = normalise(text)
    assert spoken.text == text
    assert spans(spoken) == [(at, at + 1) for at in range(len(text))]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("a \t b\nc\r\nd", "a b c d"),
        ("one\n\n\n \n two", "one\n\ntwo"),
        ("one\r\rtwo\u2029three", "one\n\ntwo\n\nthree"),
        ("\ufeffzero\u200bwidth\u202e \u2066bidi\u2069 soft\u00adhyphen", "zerowidth bidi softhyphen"),
        ("a\0b\x07 c\ud800d\ue000", "a b cd"),
        ("می‌خواهم", "می‌خواهم"),
        ("क्‍ष", "क्‍ष"),
    ],
)
def test_white_space_and_controls(text: str, spoken: str):
    assert normalise(text).text == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("# Title\nBody", "Title\n\nBody"),
        ("Some **bold**, *it*, __b__ and _i_.", "Some bold, it, b and i."),
        ("***both*** ~~gone~~", "both gone"),
        ("这是**重点**内容", "这是重点内容"),
        ('see [the docs](https://a.b/c_(d) "a title") now', "see the docs now"),
        ("![a cat](data:image/png;base64," + "A" * 5000 + ") sits", "a cat sits"),
        ("[![build](i.png)](https://x.y) ok", "build ok"),
        ("A fact[^1].", "A fact."),
        ("list:\n- milk\n* eggs\n+ [x] tea\n1. one\n2) two", "list:\n\nmilk\n\neggs\n\ntea\n\n1. one\n\n2) two"),
        ("> quoted\n> text\n\nplain", "quoted text\n\nplain"),
        ("| Name | Age |\n|:-----|----:|\n| Bob | 5 |\n\nend", "Name, Age\n\nBob, 5\n\nend"),
        ("above\n\n---\nbelow\n* * *\nTitle\n=====\nend", "above\n\nbelow\n\nTitle\n\nend"),
        ("----- 8< ===== cut ~~~~", "8< cut"),
        (r"\*not emphasis\* \# \_", "*not emphasis* # _"),
        ("`foo(*args)` and ``x_y``", "foo(*args) and x_y"),
        ("before\n```python\nprint(1)\n```\nafter", "before\n\nafter"),
        ("before\n~~~\n```\nx\n~~~\nafter", "before\n\nafter"),
        ("before\n```\nnever closed", "before"),
        ("```inline block``` after", "after"),
    ],
)
def test_markdown_reads_like_what_it_marks(text: str, spoken: str):
    assert normalise(text).text == spoken


@pytest.mark.parametrize(
    "text",
    [
        "2 * 3 = 6", "2*3*4", "2**10", "snake_case_name", "C# and F#", "#1 in #music", "5 < 6 > 4", "i <3 you",
        "AT&T; R&D", "a - b, well-known, x--y", "~5 minutes", "a[0] and [sic] (x)", "C:\\temp", "a | b",
        "1.5 and 12:30", "wow! [note]", "-5 degrees", "“Hi” – he said", "vector<int>", "№ 5 © 2024 ®", "e.g. 50% of $3",
    ],
)  # fmt: skip
def test_what_only_looks_like_markup_survives(text: str):
    assert normalise(text).text == text


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hi 😀! Bye", "Hi! Bye"),
        ("Great😀work", "Great work"),
        ("a 👨‍👩‍👧 b 🇩🇪 c 👍🏽 d ❤️ e", "a b c d e"),
        ("1️⃣ 2", "1 2"),
    ],
)
def test_emoji_are_not_read(text: str, spoken: str):
    assert normalise(text).text == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("<think>hm, 5 < 6</think>\n\nHello", "Hello"),
        ("<THINKING>x</THINKING>Hello", "Hello"),
        ("Hello <think>and never", "Hello"),
        ("a<!-- note -->b <b>c</b><br>d<p class='x'>e</p>", "a b c d\n\ne"),
        ("<speak>Hello<break time='3s'/>there, <prosody rate='slow'>friend</prosody></speak>", "Hello there, friend"),
        ("AT&amp;T &lt;&nbsp;5 &copy; &#39;q&#39; &notanentity; &#128512;", "AT&T < 5 © 'q' &notanentity;"),
    ],
)
def test_html_and_thoughts(text: str, spoken: str):
    assert normalise(text).text == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Go to https://example.com/a?b=1.", "Go to example dot com."),
        ("(see **www.example.org**)", "(see example dot org)"),
        ("<https://example.com> or <joe@example.com>", "example dot com or joe at example dot com"),
        ("Mail joe.b@example.co.uk!", "Mail joe dot b at example dot co dot uk!"),
        ("看https://example.com/页面。", "看 example dot com 页面。"),
        ("https://example.com/" + "x" * 5000 + " end", "example dot com end"),
        ("www.example.org\0 or http://example.org\u202e\x07 x", "example dot org or example dot org x"),
        ("http:// and @home and www.", "http:// and @home and www."),
    ],
)
def test_addresses(text: str, spoken: str):
    assert normalise(text).text == spoken


def test_addresses_are_worded_in_the_language_of_the_text():
    assert normalise("Siehe https://beispiel.de/x.", language="de-AT").text == "Siehe beispiel Punkt de."


@pytest.mark.parametrize(
    "text", ["", " \n", "***", "...", "?! -- ()", "😀", "---\n***\n", "```\ncode\n```", "!" * 1000]
)
def test_a_text_without_anything_to_say_is_empty(text: str):
    assert normalise(text) == MappedText()


def test_the_map_leads_back_over_markup():
    original = "# See **the** [docs](https://x.y)! 😀 Mail joe@x.y."
    mapped = normalise(original)
    assert mapped.text == "See the docs! Mail joe at x dot y."
    for word in ("See", "the", "docs", "Mail", "joe"):
        start = mapped.text.index(word)
        begin, end = mapped.original_span(start, start + len(word))
        assert original[begin:end] == word
    at = mapped.text.index(" at ")
    assert mapped.original_span(at, at + 4) == (original.index("@"), original.index("@") + 1)


def test_a_word_waits_for_its_end_and_no_longer():
    normaliser = Normaliser()
    assert normaliser.feed("Hello wor").text == "Hello"
    assert normaliser.feed("ld,").text == " world,"
    assert normaliser.feed(" x" + " y" * 9).text == " x" + " y" * 8


@pytest.mark.parametrize(
    "opener", ["*", "<", "[", "_", "![", "<b a=", "[a](", "a.", "a@", "www.", "http:", "&", "|", "- ", "a_", "> "]
)
def test_the_machine_never_holds_back_more_than_a_bounded_stretch(opener: str):
    normaliser = Normaliser()
    normaliser.feed(opener * (10_000 // len(opener)))
    assert len(normaliser.feed("").text) == 0
    assert normaliser.num_undecided <= 2400
