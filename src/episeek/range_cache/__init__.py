"""Keep byte ranges of files of a store in a directory of this machine that processes and jobs share."""
