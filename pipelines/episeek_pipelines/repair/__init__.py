"""The repair step: write a new dataset in which every defect is corrected that has only one possible explanation.

`gather_evidence` reads the documents, the numbers of all rows and the headers of the videos. `plan_repairs` applies the repairs of
`registry.REPAIRS` to a draft of the metadata, in order. A repair corrects a defect if the evidence allows only one explanation of
it. If the evidence allows several, the repair is refused and the defect stays. `write_layer` writes the changed files, and a
`RepairedRoot` shows them in place of the source's own. Videos are never changed.
"""
