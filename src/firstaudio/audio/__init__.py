"""PCM values, onset, playback arithmetic, seams, resampling and encoders: pure, no I/O."""
