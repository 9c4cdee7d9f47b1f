"""The repair step: what the evidence in a dataset proves to be wrong is put right in a new dataset; what it leaves open is refused.

`gather_evidence` reads the documents, the numbers of all rows and the headers of the videos. `plan_repairs` applies the repairs of
`registry.REPAIRS` to a draft of the metadata, in order: each changes what one reading of the evidence is left for, and refuses
what two are. `write_layer` writes the changed files, and a `RepairedRoot` shows them in place of the source's own. Videos are never
changed.
"""
