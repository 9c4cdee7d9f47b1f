"""Read the pages of a Parquet file: their headers, codecs and levels, and the rows in them."""
