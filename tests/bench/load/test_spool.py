from __future__ import annotations

from firstaudio.bench.exchange import Exchange, Failure, FailureKind, PcmFormat
from firstaudio.bench.load.spool import Spool
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.utterance import Utterance


def test_what_was_kept_comes_back_in_order():
    exchange = Exchange(1, 2, sent_ns=3, stated=PcmFormat(24_000), failure=Failure(FailureKind.EMPTY, "nothing"))
    exchange.arrived(b"\x00\xff", at_ns=4)
    kept = [Taken(Utterance("Grüße"), exchange, "measured", 7, index) for index in range(3)]

    with Spool() as spool:
        assert list(spool) == []
        for taken in kept:
            spool(taken)
        assert kept == list(spool)
