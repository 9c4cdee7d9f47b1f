"""Where decoding of a file can start: sync samples by what they hold, and the decoder state that belongs to them."""
