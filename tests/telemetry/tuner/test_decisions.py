"""Decisions outlive the server, whatever the disk does."""

from firstaudio.telemetry.tuner.decisions import FILE_NAME, MAX_DECISIONS, DecisionLog

from .conftest import decision


def test_decisions_are_read_again(tmp_path):
    log = DecisionLog(tmp_path / "tuner")
    made = [decision(0), decision(1, current=False, candidate=True), decision(2, current=50, candidate=20)]
    for each in made:
        log.append(each)
    again = DecisionLog(tmp_path / "tuner")
    again.load()
    assert again.last() == made[::-1]
    assert [type(each.current) for each in again.last()] == [int, bool, float]


def test_the_file_is_bounded(tmp_path):
    log = DecisionLog(tmp_path)
    for number in range(3 * MAX_DECISIONS):
        log.append(decision(number))
    assert len((tmp_path / FILE_NAME).read_text().splitlines()) <= 2 * MAX_DECISIONS
    again = DecisionLog(tmp_path)
    again.load()
    assert [each.at for each in again.last(3)] == [3.0 * MAX_DECISIONS - k for k in (1, 2, 3)]
    assert len(again.last()) == MAX_DECISIONS


def test_a_torn_line_costs_itself_alone(tmp_path, caplog):
    log = DecisionLog(tmp_path)
    log.append(decision(1))
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text() + '{"at": 2.0, "exper')
    log.append(decision(3))
    again = DecisionLog(tmp_path)
    again.load()
    assert [each.at for each in again.last()] == [3.0, 1.0]
    assert "1 of 3 lines" in caplog.text


def test_garbage_is_no_decision(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe\n[]\nnull\n{}\n" + b'{"at": "soon"}\n')
    log = DecisionLog(tmp_path)
    log.load()
    assert log.last() == []


def test_a_folder_that_cannot_be_had_is_reported_once_and_memory_serves(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    log = DecisionLog(tmp_path / "file" / "tuner")
    log.load()
    log.append(decision(1))
    log.append(decision(2))
    assert [each.at for each in log.last()] == [2.0, 1.0]
    assert "in memory only" in log.problem
    assert len([r for r in caplog.records if "cannot be kept" in r.message]) == 1
