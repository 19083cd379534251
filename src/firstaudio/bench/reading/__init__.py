"""What arrived, understood: envelopes, containers, samples."""
