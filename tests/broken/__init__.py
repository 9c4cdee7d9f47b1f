"""Small broken datasets, each with one defect, made from the sample datasets, with the codes that verification should find."""
