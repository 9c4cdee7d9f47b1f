"""Small broken datasets, one defect each, made from the good ones of `tests/data`, with the codes that each has to give."""
