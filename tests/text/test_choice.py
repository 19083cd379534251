from firstaudio.text.boundaries import Kind
from firstaudio.text.choice import Cut, best_cut, within_budget
from firstaudio.text.plan import Budget

FIRST = Budget(min_s=0.6, target_s=0.6, max_s=1.2, max_chars=100, natural=Kind.CLAUSE)
LONG = Budget(min_s=0.6, target_s=5.0, max_s=5.0, max_chars=100, natural=Kind.SENTENCE)


def cuts(*kinds_and_seconds: tuple[Kind, float]) -> list[Cut]:
    return [Cut(round(seconds * 15), kind, seconds) for kind, seconds in kinds_and_seconds]


def choose(known: list[Cut], budget: Budget) -> float:
    options, _ = within_budget(known, budget.max_chars, budget)
    return best_cut(options, known[len(options) :], budget).seconds


def test_the_first_segment_is_the_shortest_clause_that_is_worth_it():
    assert choose(cuts((Kind.CLAUSE, 0.3), (Kind.CLAUSE, 0.7), (Kind.CLAUSE, 1.1), (Kind.SENTENCE, 1.9)), FIRST) == 0.7


def test_without_a_clause_in_range_a_phrase_is_better_than_a_longer_word():
    assert choose(cuts((Kind.WORD, 0.5), (Kind.PHRASE, 0.8), (Kind.WORD, 1.1), (Kind.CLAUSE, 3.0)), FIRST) == 0.8


def test_without_any_mark_the_last_word_in_range_is_taken():
    assert choose(cuts((Kind.WORD, 0.5), (Kind.WORD, 0.8), (Kind.WORD, 1.1), (Kind.WORD, 1.4)), FIRST) == 1.1


def test_a_bare_word_is_not_cut_off_because_the_next_one_is_long():
    assert choose(cuts((Kind.PHRASE, 0.3), (Kind.WORD, 2.0), (Kind.WORD, 2.5)), FIRST) == 2.0


def test_a_clause_leaves_no_bare_word_of_its_sentence_behind():
    assert choose(cuts((Kind.CLAUSE, 0.7), (Kind.SENTENCE, 1.0), (Kind.WORD, 1.5)), FIRST) == 1.0
    assert choose(cuts((Kind.WORD, 0.7), (Kind.WORD, 1.1), (Kind.SENTENCE, 1.5)), FIRST) == 0.7


def test_several_sentences_are_merged_and_none_is_cut():
    sentences = cuts((Kind.SENTENCE, 2.0), (Kind.CLAUSE, 3.0), (Kind.SENTENCE, 4.0), (Kind.CLAUSE, 4.9))
    assert choose([*sentences, *cuts((Kind.SENTENCE, 7.0))], LONG) == 4.0


def test_a_sentence_that_does_not_fit_is_cut_at_its_last_clause():
    assert choose(cuts((Kind.CLAUSE, 2.0), (Kind.PHRASE, 4.0), (Kind.SENTENCE, 9.0)), LONG) == 2.0


def test_a_paragraph_ends_every_segment():
    assert choose(cuts((Kind.PARAGRAPH, 0.4), (Kind.SENTENCE, 3.0)), LONG) == 0.4


def test_the_choice_is_settled_before_all_text_is_known():
    known = cuts((Kind.CLAUSE, 0.7), (Kind.WORD, 1.0), (Kind.WORD, 1.35))
    assert within_budget(known[:2], 100, FIRST) == (known[:2], False)
    assert within_budget(known, 100, FIRST) == (known[:2], True)
    assert within_budget(known, 100, Budget(0.6, 0.6, 6.0, 100, Kind.CLAUSE)) == (known[:2], True)


def test_without_a_natural_end_more_text_is_wanted():
    known = cuts((Kind.WORD, 0.7), (Kind.WORD, 1.0), (Kind.WORD, 1.35))
    assert within_budget(known, 100, FIRST) == (known[:2], False)
