"""The repair step: write a new dataset in which every defect with only one possible explanation is corrected.

`gather_evidence` reads the documents, the numbers of all rows and the headers of the videos. `plan_repairs` applies the repairs of
`registry.REPAIRS` to a draft of the metadata, one after the other. A repair corrects a defect if the evidence allows only one
explanation of it. If the evidence allows several, the repair is refused and the defect stays. `write_layer` writes the changed
files, and a `RepairedRoot` shows them in place of the files of the source. Videos are never changed.
"""
