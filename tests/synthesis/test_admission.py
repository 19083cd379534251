from firstaudio.synthesis.admission import Demand, feasible


def test_as_many_endless_listeners_fit_as_the_lanes_keep_up_with():
    playing = [Demand(due_s=1.0, audio_s=1000.0)] * 6
    assert feasible(playing, rtf=0.3, num_lanes=2)
    assert not feasible([*playing, playing[0]], rtf=0.3, num_lanes=2)


def test_a_promise_of_less_than_all_lane_time_admits_fewer():
    assert not feasible([Demand(1.0, 1000.0)] * 6, rtf=0.3, num_lanes=2, max_utilization=0.8)


def test_short_utterances_fit_where_long_ones_would_not():
    assert feasible([Demand(due_s=2.0, audio_s=1.0)] * 8, rtf=0.5, num_lanes=2)
    assert not feasible([Demand(due_s=2.0, audio_s=100.0)] * 8, rtf=0.5, num_lanes=2)


def test_audio_that_lies_ahead_gives_room():
    urgent = [Demand(due_s=0.0, audio_s=10.0)] * 2
    assert not feasible(urgent, rtf=1.0, num_lanes=1)
    assert feasible([urgent[0], Demand(due_s=10.0, audio_s=10.0)], rtf=1.0, num_lanes=1)


def test_first_audio_of_many_newcomers_must_fit_before_their_deadline():
    assert feasible([Demand(due_s=2.0, audio_s=0.5, startup_s=0.1)] * 20, rtf=0.0, num_lanes=1)
    assert not feasible([Demand(due_s=2.0, audio_s=0.5, startup_s=0.1)] * 21, rtf=0.0, num_lanes=1)


def test_nothing_to_do_is_feasible():
    assert feasible([], rtf=1.0, num_lanes=1)
    assert feasible([Demand(0.0, 0.0)], rtf=1.0, num_lanes=1)
