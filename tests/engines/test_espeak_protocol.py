from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.espeak.protocol import Frame, FrameParser, Kind, pack

frames = st.builds(Frame, st.sampled_from(Kind), st.integers(0, 2**32 - 1), st.binary(max_size=200))


@given(st.lists(frames, max_size=20), st.integers(1, 50))
def test_frames_survive_any_cutting_of_the_bytes(sent, size):
    data = b"".join(pack(*frame) for frame in sent)
    parser = FrameParser()
    received = [frame for i in range(0, len(data), size) for frame in parser.feed(data[i : i + size])]
    assert sent == received
