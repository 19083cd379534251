"""kokoro-onnx behind HTTP: what its `create_stream` yields, as it yields it. Runs with the peer's own Python.

python serve_kokoro_onnx.py MODEL VOICES
"""

from __future__ import annotations

import asyncio
import sys

from kokoro_onnx import Kokoro
from pcm_server import Emit, serve


def main() -> None:
    model, voices = sys.argv[1:3]
    kokoro = Kokoro(model, voices)
    loop = asyncio.new_event_loop()

    async def stream(text: str, voice: str, emit: Emit) -> None:
        async for samples, _rate in kokoro.create_stream(text, voice, lang="en-us"):
            if not emit(samples):
                break

    def speak(text: str, voice: str, emit: Emit) -> None:
        loop.run_until_complete(stream(text, voice, emit))

    speak("It warms up.", kokoro.get_voices()[0], lambda _: True)
    serve(speak, 0)


if __name__ == "__main__":
    main()
