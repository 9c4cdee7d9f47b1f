"""The publish step: an overlay onto a dataset repository, or into a store, so that readers see the old dataset or the new one."""
