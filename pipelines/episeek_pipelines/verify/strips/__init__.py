"""Strips of frames that show a finding: their pictures, decoded once more and made small."""
