"""Read coded samples: where decoding can start, and which parameter sets stay in force. There is one module for each codec."""
